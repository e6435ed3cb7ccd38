"""Renders a corpus in HowTo100M's own layout: real mp4 files, captions, and the planted truth."""

import csv
import dataclasses
import io
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vatt_gh.demo.narration import Line, narrate
from vatt_gh.demo.picture import draw_scene
from vatt_gh.demo.scenes import Scene, draw_id, draw_scenes, video_generator
from vatt_gh.demo.sound import synthesise
from vatt_gh.errors import UserError, changed_settings
from vatt_gh.files import (
    check_room,
    read_object,
    replacing,
    system_problems_named,
    write_whole,
)

_MARKER = "corpus.json"  # written last: the specification of a finished corpus
_STARTED = "corpus.started.json"  # the specification of a corpus that is being rendered
# For the check of free space; two to six times the measured values.
_BYTES_A_PIXEL, _OTHER_BYTES_A_SECOND = 0.05, 20_000


@dataclasses.dataclass(frozen=True)
class CorpusSpec:
    """Everything that a corpus depends on.

    Attributes:
        seed: equal seeds give equal corpora.
        videos: number of videos.
        caption_noise: probability that a caption describes something else.
        sound_noise: probability that a scene has the sound of another scene.
        width, height: size of the frames in pixels; both are even.
        fps: frames a second.
        audio_rate: samples a second.
        min_seconds, max_seconds: limits on the length of a video.
        min_scene_seconds, max_scene_seconds: limits on a scene; shorter only in a shorter video.
    """

    seed: int
    videos: int
    caption_noise: float
    sound_noise: float
    width: int
    height: int
    fps: int
    audio_rate: int
    min_seconds: float
    max_seconds: float
    min_scene_seconds: float
    max_scene_seconds: float


def render_corpus(out_dir: Path, spec: CorpusSpec, *, workers: int) -> None:
    """Renders a corpus; keeps what an interrupted call has finished.

    Args:
        out_dir: gets videos/, HowTo100M_v1.csv, caption.json and alignment.jsonl.
        spec: specification of the corpus.
        workers: number of processes; the corpus does not depend on it.

    Raises:
        UserError: the directory holds something else, or the disk is full.
    """
    out_dir = Path(out_dir)
    marker, started = out_dir / _MARKER, out_dir / _STARTED
    if marker.exists():
        _check_same(marker, spec)
        return
    with system_problems_named(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        if started.exists():
            _check_same(started, spec)
        else:
            _check_empty(out_dir)
            check_room(
                out_dir,
                bytes_needed(spec),
                "The corpus may take",
                expected="room for the corpus",
                todo="free some space, give another work directory, or render fewer videos",
            )
            write_whole(started, json.dumps(dataclasses.asdict(spec), indent=1))
        (out_dir / "videos").mkdir(exist_ok=True)
        jobs = [(index, spec, out_dir) for index in range(spec.videos)]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            truths = list(pool.map(_render, jobs, chunksize=4))
        write_tables(out_dir, truths)
    started.rename(marker)


def bytes_needed(spec: CorpusSpec) -> int:
    """Estimates the disk space of a corpus.

    Args:
        spec: the corpus.

    Returns:
        Bytes, rather too many.
    """
    pixels = spec.width * spec.height * spec.fps
    a_second = pixels * _BYTES_A_PIXEL + _OTHER_BYTES_A_SECOND
    return round(spec.videos * spec.max_seconds * a_second)


def _check_empty(out_dir: Path) -> None:
    # Names with a dot are hidden, or a specification that an interrupted call left half-written.
    others = sorted(path.name for path in out_dir.iterdir() if not path.name.startswith("."))
    if others:
        raise UserError(
            f"The directory for the corpus holds something else: {', '.join(others[:3])}.",
            where=out_dir,
            expected="an empty directory, or a corpus rendered before",
            todo="give another work directory, or delete this one",
        )


def _check_same(marker: Path, spec: CorpusSpec) -> None:
    other = changed_settings(read_object(marker), dataclasses.asdict(spec))
    if other:
        raise UserError(
            f"Another corpus is there already: {'; '.join(other)}.",
            where=marker.parent,
            expected="a corpus with the same settings, or an empty directory",
            todo="give another work directory, or delete this one",
        )


def _render(job: tuple[int, CorpusSpec, Path]) -> dict[str, Any]:
    index, spec, out_dir = job
    rng = video_generator(spec.seed, index)
    name = draw_id(rng)
    seconds = round(float(rng.uniform(spec.min_seconds, spec.max_seconds)), 1)
    lengths = spec.min_scene_seconds, spec.max_scene_seconds
    scenes = draw_scenes(rng, seconds, spec.sound_noise, *lengths)
    lines = narrate(rng, scenes, spec.caption_noise)
    path = out_dir / "videos" / f"{name}.mp4"
    if not path.exists():
        with replacing(path) as partial:
            _write_video(partial, spec, scenes, rng, seconds)
    return _truth_row(name, seconds, scenes, lines)


def _truth_row(name: str, seconds: float, scenes: list[Scene], lines: list[Line]) -> dict[str, Any]:
    """Makes a line of alignment.jsonl."""
    shown = [dataclasses.asdict(s) | {"sound_aligned": s.sound_aligned} for s in scenes]
    said = [dataclasses.asdict(line) for line in lines]
    return {"video_id": name, "duration": seconds, "scenes": shown, "captions": said}


def write_tables(out_dir: Path, truths: list[dict[str, Any]]) -> None:
    """Writes HowTo100M_v1.csv, caption.json and alignment.jsonl.

    Args:
        out_dir: the corpus.
        truths: rows of alignment.jsonl.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["video_id", "category_1", "category_2", "rank", "task_id"])
    for rank, truth in enumerate(truths, start=1):
        writer.writerow([truth["video_id"], "Education", "Shapes", rank, 0])
    write_whole(out_dir / "HowTo100M_v1.csv", table.getvalue())
    captions = {
        t["video_id"]: {k: [c[k] for c in t["captions"]] for k in ("text", "start", "end")}
        for t in truths
    }
    write_whole(out_dir / "caption.json", json.dumps(captions))
    rows = "".join(json.dumps(truth) + "\n" for truth in truths)
    write_whole(out_dir / "alignment.jsonl", rows)


def _write_video(
    path: Path, spec: CorpusSpec, scenes: list[Scene], rng: np.random.Generator, seconds: float
) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        # x264's macroblock tree reads uninitialised memory: equal frames would give different
        # files from run to run.
        options = {"preset": "veryfast", "crf": "23", "threads": "1", "mbtree": "0"}
        video = container.add_stream("libx264", rate=spec.fps, options=options)
        video.width, video.height, video.pix_fmt = spec.width, spec.height, "yuv420p"
        coder = {"aac_coder": "fast"}
        audio = container.add_stream("aac", rate=spec.audio_rate, layout="mono", options=coder)
        audio.bit_rate = 64_000
        for number, image in enumerate(_images(spec, scenes, rng, seconds)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, spec.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = _sound(spec, scenes, rng)
        for start in range(0, len(sound), 1024):
            chunk = sound[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = spec.audio_rate, start
            frame.time_base = Fraction(1, spec.audio_rate)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def _images(
    spec: CorpusSpec, scenes: list[Scene], rng: np.random.Generator, seconds: float
) -> Iterator[np.ndarray]:
    edges = [round(scene.start * spec.fps) for scene in scenes] + [round(seconds * spec.fps)]
    for scene, first, last in zip(scenes, edges[:-1], edges[1:], strict=True):
        yield from draw_scene(scene, rng, last - first, spec.width, spec.height, spec.fps)


def _sound(spec: CorpusSpec, scenes: list[Scene], rng: np.random.Generator) -> np.ndarray:
    """Synthesises the sound of the whole video, [samples] float32."""
    edges = [round(scene.start * spec.audio_rate) for scene in scenes]
    edges.append(round(scenes[-1].end * spec.audio_rate))
    parts = [
        synthesise(scene.sound_shape, scene.sound_motion, rng, last - first, spec.audio_rate)
        for scene, first, last in zip(scenes, edges[:-1], edges[1:], strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)
