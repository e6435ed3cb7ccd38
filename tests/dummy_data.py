"""Writes a tiny directory of every set, in its real layout and with real media.

python tests/dummy_data.py NAME DIRECTORY
"""

import csv
import json
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from media_files import grey, tone, write_media

from vatt_gh.media.tfrecord import masked_crc32c

CODECS = {  # for pictures, for sound, samples per second
    ".mp4": ("libx264", "aac", 16_000),
    ".mkv": ("libx264", "aac", 16_000),
    ".avi": ("mpeg4", "pcm_s16le", 16_000),
    ".webm": ("libvpx-vp9", "libopus", 48_000),
}
# Ids in YouTube's format; some begin or end with - or _.
YOUTUBE = ("-0RWZT-miFs", "_zLzFtLN1gA", "dQw4w9WgXcQ", "Yabcdefghi_", "7lpqOLbz8j-", "0sf943sWZls")


def make(name: str, directory: Path) -> Path:
    """Writes the directory of a set.

    Args:
        name: a key of MAKERS.
        directory: created if missing.

    Returns:
        The directory, for use as manual_dir.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    MAKERS[name](directory)
    return directory


def make_measurable(name: str, directory: Path) -> Path:
    """As `make`; AudioSet has a class, too, that only some of the test clips have."""
    make(name, directory)
    if name == "audioset":
        listed = directory / "eval_segments.csv"
        *rows, last = listed.read_text().splitlines()
        listed.write_text("\n".join([*rows, last.replace("/m/09x0r", "/m/0bt9lr")]) + "\n")
    return directory


def video(path: Path, seconds: int = 1, *, silent: bool = False) -> Path:
    """A video of 64 x 48 pixels at 10 frames per second that gets brighter, with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec, sound_codec, rate = CODECS[path.suffix]
    images = [grey(40 + 10 * (n % 20)) for n in range(10 * seconds)]
    return write_media(
        path,
        images,
        [n / 10 for n in range(10 * seconds)],
        codec=codec,
        sound=() if silent else [(0, tone(seconds, rate))],
        rate=rate,
        sound_codec=sound_codec,
    )


def sound(path: Path, seconds: int = 1, rate: int = 16_000) -> Path:
    """A file with a tone, without pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {".wav": "pcm_s16le", ".flac": "flac", ".m4a": "aac"}[path.suffix]
    return write_media(path, sound=[(0, tone(seconds, rate))], rate=rate, sound_codec=codec)


def text(path: Path, *lines: str) -> Path:
    """A text file with these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def table(path: Path, header: str, rows: Iterable[Sequence[object]]) -> Path:
    """A csv file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header.split(","), *rows])
    return path


def _howto100m(directory: Path) -> None:
    for name, suffix in zip(YOUTUBE[:2], (".mp4", ".webm"), strict=True):
        video(directory / "videos" / f"{name}{suffix}", seconds=3)
    captions = {YOUTUBE[0]: {"text": ["cut the naïve onion"], "start": [0.5], "end": [2.0]}}
    text(directory / "caption.json", json.dumps(captions))


def _ucf101(directory: Path) -> None:
    # The archive spells the files of HandstandPushups with a capital S, the lists do not.
    clips = {}
    for group in (1, 2, 3):
        clips[f"ApplyEyeMakeup/v_ApplyEyeMakeup_g0{group}_c01"] = 1
        clips[f"HandstandPushups/v_HandstandPushups_g0{group}_c01"] = 2
    for clip in clips:
        spelled = clip.replace("v_Handstand", "v_HandStand")
        video(directory / "UCF-101" / f"{spelled}.avi", silent="g02" in clip)
    lists = directory / "ucfTrainTestlist"
    text(lists / "classInd.txt", "1 ApplyEyeMakeup", "2 HandstandPushups")
    for split in (1, 2, 3):
        tested = f"_g0{split}_"
        train = [f"{c}.avi {label}" for c, label in clips.items() if tested not in c]
        text(lists / f"trainlist0{split}.txt", *train)
        text(lists / f"testlist0{split}.txt", *(f"{c}.avi" for c in clips if tested in c))


def _hmdb51(directory: Path) -> None:
    # In every split a different clip of a class is training, test and unused.
    names = {
        "brush_hair": (
            "April_09_brush_hair_u_nm_np1_ba_goo_0",
            "[Rom] & #1; (x)_brush_hair_1",
            "c",
        ),
        "kick_ball": ("-kick_ball_0", "kick_ball_1", "c"),
    }
    for folder, clips in names.items():
        for clip in clips:
            video(directory / folder / f"{clip}.avi", silent=clip == "c")
        for split in (1, 2, 3):
            text(
                directory / "testTrainMulti_7030_splits" / f"{folder}_test_split{split}.txt",
                *(f"{clip}.avi {(n + split) % 3} " for n, clip in enumerate(clips)),
            )


def _kinetics(directory: Path, *, cvdf: bool) -> None:
    rows = [
        ("playing harmonica", YOUTUBE[0], 10, 20, "train"),
        ("abseiling", YOUTUBE[1], 0, 10, "train"),
        ("abseiling", YOUTUBE[2], 110, 120, "val" if cvdf else "validate"),
        ("playing harmonica", YOUTUBE[3], 3, 13, "test"),
    ]
    for n, (label, name, start, end, split) in enumerate(rows):
        # The original layout has spaces or _ in labels.
        folder = "" if cvdf else (label if n % 2 else label.replace(" ", "_"))
        video(directory / split / folder / f"{name}_{start:06d}_{end:06d}.mp4", silent=n == 1)
    header = "label,youtube_id,time_start,time_end,split" + ("" if cvdf else ",is_cc")
    for split in dict.fromkeys(row[-1] for row in rows):
        these = [row if cvdf else (*row, 0) for row in rows if row[-1] == split]
        table(directory / "annotations" / f"{split}.csv", header, these)


def _kinetics400(directory: Path) -> None:
    _kinetics(directory, cvdf=False)


def _kinetics400_cvdf(directory: Path) -> None:
    _kinetics(directory, cvdf=True)


def _esc50(directory: Path) -> None:
    rows = []
    for fold in range(1, 6):
        for target, category in ((0, "dog"), (1, "rooster")):
            name = f"{fold}-10{fold}-A-{target}.wav"
            sound(directory / "ESC-50-master" / "audio" / name, rate=44_100)
            rows.append((name, fold, target, category, target == 0, 100 + fold, "A"))
    header = "filename,fold,target,category,esc10,src_file,take"
    table(directory / "ESC-50-master" / "meta" / "esc50.csv", header, rows)


def _msrvtt(directory: Path) -> None:
    splits = ("train", "train", "validate", "test", "test")
    for n in range(len(splits)):
        video(directory / "videos" / f"video{n}.mp4", silent=n == 1)
    videos = [
        # The times are those of the video on YouTube: the file has one second.
        {"id": n, "video_id": f"video{n}", "category": n, "split": split, "start time": 137.72}
        for n, split in enumerate(splits)
    ]
    sentences = [
        {"sen_id": 2 * n + k, "video_id": f"video{n}", "caption": f"caption {k} of {n}, naïve"}
        for k in range(2)
        for n in range(len(splits))
    ]
    content = {"info": {}, "videos": videos, "sentences": sentences}
    text(directory / "MSRVTT_data.json", json.dumps(content))
    # JSFusion's test clips come from all three parts.
    rows = [
        ("ret0", "msr3", "video3", "caption 1 of 3, naïve"),
        ("ret1", "msr1", "video1", "caption 0 of 1, naïve"),
    ]
    table(directory / "MSRVTT_JSFUSION_test.csv", "key,vid_key,video_id,sentence", rows)


def _youcook2(directory: Path) -> None:
    database, tested = {}, {}
    places = (
        ("training", "101", ".mp4"),
        ("validation", "101", ".mkv"),
        ("validation", "226", ".webm"),
        ("testing", "226", ".mp4"),
    )
    for name, (subset, recipe, suffix) in zip(YOUTUBE, places, strict=False):
        video(directory / "raw_videos" / subset / recipe / f"{name}{suffix}", seconds=3)
        steps = [
            {"id": n, "segment": [n, n + 1], "sentence": f"step {n} of {name}"} for n in range(2)
        ]
        if subset == "testing":
            steps = [{"id": step["id"], "segment": step["segment"]} for step in steps]
        content = {"duration": 3.0, "subset": subset, "recipe_type": recipe, "annotations": steps}
        (tested if subset == "testing" else database)[name] = content
    for file, content in (("trainval", database), ("test_segments_only", tested)):
        path = directory / "annotations" / f"youcookii_annotations_{file}.json"
        text(path, json.dumps({"database": content}))


def _audioset(directory: Path) -> None:
    a, b, c, d, e, f = YOUTUBE
    video(directory / "video" / f"{a}.mp4", seconds=4)  # the whole video; its segment is 2 to 4 s
    video(directory / "video" / "cut" / f"{b}_30.webm", seconds=2)
    sound(directory / "audio" / f"{c}_420000_422000.wav", seconds=2)
    sound(directory / "audio" / f"Y{d}.flac", seconds=2)
    sound(directory / "audio" / f"{e}_0.m4a", seconds=2)
    sound(directory / "audio" / f"{f}.wav", seconds=2)  # named by id, but only the piece
    heads = "# Segments csv created Sun Mar  5 10:54:31 2017", "# num_ytids=2, num_segs=2"
    columns = "# YTID, start_seconds, end_seconds, positive_labels"
    speech, dog = "/m/09x0r", "/m/0bt9lr"
    for part, rows in {
        "unbalanced_train": [(a, 2, speech), (b, 30, f"{speech},{dog}")],
        "balanced_train": [(c, 420, dog), (d, 50, dog)],
        "eval": [(e, 0, speech), (f, 90, speech)],
    }.items():
        lines = [f'{name}, {start:.3f}, {start + 2:.3f}, "{mids}"' for name, start, mids in rows]
        text(directory / f"{part}_segments.csv", *heads, columns, *lines)
    rows = [(0, speech, "Speech"), (1, dog, "Dog"), (2, "/m/05fw6t", "Children, playing")]
    table(directory / "class_labels_indices.csv", "index,mid,display_name", rows)


def _youtube8m(directory: Path) -> None:
    for name, suffix in zip(YOUTUBE[:3], (".mp4", ".webm", ".mkv"), strict=True):
        video(directory / "videos" / f"{name}{suffix}", seconds=3)
    labels = {"AAAA": (0, 2), "-_b9": (300,), "cCcC": ()}
    table(
        directory / "yt8m" / "yt8m_ids.csv",
        "yt8m_id,youtube_id",
        [(name, YOUTUBE[n]) for n, name in enumerate(labels)],
    )
    header = "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,Vertical2,Vertical3"
    rows = [
        (n, 100, f"/m/0{n}", f"Class {n}, the", "https://en.wikipedia.org/", "Games", "", "")
        for n in (0, 2, 300)
    ]
    table(directory / "yt8m" / "vocabulary.csv", header, rows)
    records = [yt8m_record(name, numbers, frames=2) for name, numbers in labels.items()]
    tfrecord(directory / "yt8m" / "frame" / "train" / "train0001.tfrecord", records[:2])
    tfrecord(directory / "yt8m" / "frame" / "test" / "test0001.tfrecord", records[2:])
    records = [yt8m_record(name, numbers) for name, numbers in labels.items()]
    tfrecord(directory / "yt8m" / "video" / "train" / "train01.tfrecord", records[:2])


def tfrecord(path: Path, records: Iterable[bytes]) -> Path:
    """A file with these records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for data in records:
            length = struct.pack("<Q", len(data))
            file.write(length + struct.pack("<I", masked_crc32c(length)))
            file.write(data + struct.pack("<I", masked_crc32c(data)))
    return path


def yt8m_record(name: str, labels: Sequence[int], frames: int = 0) -> bytes:
    """A record of YouTube-8M with features of the video, or of `frames` frames."""
    features = {"id": _field(1, _field(1, name.encode()))}
    if labels:
        features["labels"] = _field(3, _field(1, b"".join(map(varint, labels))))
    if not frames:
        for key, size in (("mean_rgb", 1024), ("mean_audio", 128)):
            features[key] = _field(2, _field(1, struct.pack(f"<{size}f", *range(size))))
        return _field(1, _map(features))
    lists = {
        key: frames * _field(1, _field(1, _field(1, bytes(range(256)) * (size // 256) or b"a")))
        for key, size in (("rgb", 1024), ("audio", 128))
    }
    return _field(1, _map(features)) + _field(2, _map(lists))


def _map(entries: dict[str, bytes]) -> bytes:
    return b"".join(_field(1, _field(1, k.encode()) + _field(2, v)) for k, v in entries.items())


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """An integer in protobuf's encoding; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    pieces = []
    while value > 127:
        pieces.append(value & 127 | 128)
        value >>= 7
    return bytes([*pieces, value])


MAKERS = {
    "howto100m": _howto100m,
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
    "kinetics400": _kinetics400,
    "kinetics400_cvdf": _kinetics400_cvdf,
    "esc50": _esc50,
    "msrvtt": _msrvtt,
    "msrvtt_1ka": _msrvtt,
    "youcook2": _youcook2,
    "audioset": _audioset,
    "youtube8m": _youtube8m,
}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        sys.exit(f"python tests/dummy_data.py NAME DIRECTORY, where NAME is {', '.join(MAKERS)}")
    print(make(sys.argv[1], Path(sys.argv[2])))
