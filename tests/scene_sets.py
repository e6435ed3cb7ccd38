"""Writes the scenes of a rendered corpus in the layouts of other sets, right or shuffled."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from dummy_data import table, text
from media_files import write_media

from vatt_gh.demo.corpus import write_tables
from vatt_gh.report.jsonl import read_jsonl

SOUND_FOLDS, VIDEO_FOLDS = 5, 3
OWN = "howto100m"  # the corpus in its own layout


@dataclasses.dataclass(frozen=True)
class Scenes:
    """N scenes, and what is said to be true of them.

    Attributes:
        names: [N] of each scene, like YouTube's ids.
        videos: [N] number of the video that it is from.
        images: [N] pictures, [n, H, W, 3] uint8 each.
        sounds: [N] samples, [n] float32 each.
        fps, rate: pictures and samples a second.
        seen: [N] class of the picture.
        heard: [N] classes of the sound.
        said: [N] caption, "" where there is none.
    """

    names: Sequence[str]
    videos: Sequence[int]
    images: Sequence[np.ndarray]
    sounds: Sequence[np.ndarray]
    fps: int
    rate: int
    seen: Sequence[str]
    heard: Sequence[tuple[str, str]]
    said: Sequence[str]

    def shuffled(self, rng: np.random.Generator) -> "Scenes":
        """Sounds, classes and captions in random orders, each in one of its own."""
        mixed = {k: getattr(self, k) for k in ("sounds", "seen", "heard", "said")}
        orders = {k: rng.permutation(len(values)) for k, values in mixed.items()}
        return dataclasses.replace(
            self, **{k: [values[n] for n in orders[k]] for k, values in mixed.items()}
        )


class _Media(NamedTuple):
    """What a file holds: pictures [n, H, W, 3] and samples [n], and how many a second."""

    images: np.ndarray
    fps: int
    sound: np.ndarray
    rate: int


def read_scenes(corpus: Path) -> Scenes:
    """Reads all scenes of a rendered corpus.

    Args:
        corpus: with videos/ and alignment.jsonl.

    Returns:
        Its scenes, with what is planted.
    """
    rows = read_jsonl(corpus / "alignment.jsonl")
    found: dict[str, list] = {field.name: [] for field in dataclasses.fields(Scenes)}
    for number, row in enumerate(rows):
        media = _read(corpus / "videos" / f"{row['video_id']}.mp4")
        said = {caption["scene"]: caption["text"] for caption in row["captions"]}
        for n, scene in enumerate(row["scenes"]):
            times, edges = (scene["start"], scene["end"]), {}
            for name, unit in (("images", media.fps), ("sounds", media.rate)):
                edges[name] = slice(*(round(time * unit) for time in times))
            found["names"].append(f"Scene{len(found['names']):06d}")
            found["videos"].append(number)
            found["images"].append(media.images[edges["images"]])
            found["sounds"].append(media.sound[edges["sounds"]])
            found["seen"].append(f"{scene['colour']} {scene['shape']}")
            found["heard"].append((scene["sound_shape"], scene["sound_motion"]))
            found["said"].append(said.get(n, ""))
    return Scenes(**found | {"fps": media.fps, "rate": media.rate})


def _read(path: Path) -> _Media:
    with av.open(str(path)) as container:
        fps = round(container.streams.video[0].average_rate)
        rate = container.streams.audio[0].rate
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return _Media(np.stack(images), fps, np.concatenate(sound), rate)


def write_ucf101(scenes: Scenes, folder: Path) -> None:
    """Pictures with their classes; a third of the videos is the test of each split."""
    classes = sorted(set(scenes.seen))
    names = [label.title().replace(" ", "") for label in classes]
    lists = folder / "ucfTrainTestlist"
    text(lists / "classInd.txt", *(f"{n} {name}" for n, name in enumerate(names, start=1)))
    clips = []
    for n, label in enumerate(scenes.seen):
        number = classes.index(label)
        clip = f"{names[number]}/v_{names[number]}_{scenes.names[n]}.mp4"
        _film(folder / "UCF-101" / clip, scenes, n)
        clips.append((clip, number + 1, scenes.videos[n] % VIDEO_FOLDS))
    for fold in range(VIDEO_FOLDS):
        train = [f"{clip} {number}" for clip, number, mine in clips if mine != fold]
        text(lists / f"trainlist0{fold + 1}.txt", *train)
        tested = [clip for clip, _, mine in clips if mine == fold]
        text(lists / f"testlist0{fold + 1}.txt", *tested)


def write_esc50(scenes: Scenes, folder: Path) -> None:
    """Sounds with a class each; the scenes of a video are in one fold."""
    labels = [" ".join(heard) for heard in scenes.heard]
    classes, rows = sorted(set(labels)), []
    for n, label in enumerate(labels):
        fold, target = scenes.videos[n] % SOUND_FOLDS + 1, classes.index(label)
        name = f"{fold}-{n:06d}-A-{target}.wav"
        _sound(folder / "ESC-50-master" / "audio" / name, scenes, n)
        rows.append((name, fold, target, label, False, n, "A"))
    header = "filename,fold,target,category,esc10,src_file,take"
    table(folder / "ESC-50-master" / "meta" / "esc50.csv", header, rows)


def write_audioset(scenes: Scenes, folder: Path) -> None:
    """Sounds with two classes each; every other video is a test."""
    classes = sorted({label for heard in scenes.heard for label in heard})
    parts: dict[str, list[str]] = {"balanced_train": [], "eval": []}
    for n, heard in enumerate(scenes.heard):
        _sound(folder / "audio" / f"Y{scenes.names[n]}.wav", scenes, n)
        end = len(scenes.sounds[n]) / scenes.rate
        mids = ",".join(f"/m/{classes.index(label)}" for label in heard)
        part = "eval" if scenes.videos[n] % 2 else "balanced_train"
        parts[part].append(f'{scenes.names[n]}, 0.000, {end:.3f}, "{mids}"')
    for part, rows in parts.items():
        text(folder / f"{part}_segments.csv", "# YTID, start_seconds, end_seconds, labels", *rows)
    rows = [(n, f"/m/{n}", label) for n, label in enumerate(classes)]
    table(folder / "class_labels_indices.csv", "index,mid,display_name", rows)


def write_youcook2(scenes: Scenes, folder: Path) -> None:
    """Scenes with a caption, each as the one step of a video."""
    database = {}
    for n, sentence in enumerate(scenes.said):
        if sentence:
            _film(
                folder / "raw_videos" / "validation" / "101" / f"{scenes.names[n]}.mp4", scenes, n
            )
            seconds = len(scenes.images[n]) / scenes.fps
            step = {"id": 0, "segment": [0, seconds], "sentence": sentence}
            database[scenes.names[n]] = {"subset": "validation", "annotations": [step]}
    path = folder / "annotations" / "youcookii_annotations_trainval.json"
    text(path, json.dumps({"database": database}))


WRITERS = {
    "ucf101": write_ucf101,
    "esc50": write_esc50,
    "audioset": write_audioset,
    "youcook2": write_youcook2,
}


def write_corpus(corpus: Path, folder: Path, rng: np.random.Generator | None) -> None:
    """Writes a corpus again, with its own videos; with `rng` captions and classes are shuffled.

    Args:
        corpus: the rendered one.
        folder: gets videos, captions and alignment.jsonl.
        rng: None: all stays as it is.
    """
    folder.mkdir(parents=True)
    (folder / "videos").symlink_to((corpus / "videos").absolute())
    rows = read_jsonl(corpus / "alignment.jsonl")
    if rng is not None:
        for part, times in (("scenes", ("start", "end")), ("captions", ("start", "end", "scene"))):
            every = [entry for row in rows for entry in row[part]]
            others = [dict(every[n]) for n in rng.permutation(len(every))]
            for entry, other in zip(every, others, strict=True):
                entry |= {key: value for key, value in other.items() if key not in times}
    write_tables(folder, rows)


def _film(path: Path, scenes: Scenes, n: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = scenes.images[n]
    times = [k / scenes.fps for k in range(len(images))]
    samples = scenes.sounds[n][: round(len(images) / scenes.fps * scenes.rate)]
    sound = {"sound": [(0, samples)], "rate": scenes.rate, "sound_codec": "aac"}
    write_media(path, images, times, fps=scenes.fps, **sound)


def _sound(path: Path, scenes: Scenes, n: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_media(path, sound=[(0, scenes.sounds[n])], rate=scenes.rate)
