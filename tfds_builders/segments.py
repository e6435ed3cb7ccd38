"""The TFDS builder of video segments; a data set is a subclass of a few lines."""

import contextlib
import dataclasses
import functools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from tfds_builders.parts import Settings
from tfds_builders.record_features import example_of, features_of
from tfds_builders.sets import DATA_SETS
from vatt_gh.data.selection import SELECTION, Selection
from vatt_gh.data.sources import WORDS_FILE
from vatt_gh.media.captions import Caption, overlapping
from vatt_gh.media.decoding import Decoded, decode_all
from vatt_gh.media.form import WHOLE, Form, Segment
from vatt_gh.media.library import Library
from vatt_gh.media.storages import STORAGES
from vatt_gh.media.words import split_words
from vatt_gh.media.workers import Limits

# Bytes of video files per shard. Their records may take ten times as much.
SHARD_BYTES = 32_000_000
COUNTS_FILE = "counts.json"

_Decoding = Iterator[tuple[str, Segment | Decoded]]


@dataclasses.dataclass(kw_only=True)
class SegmentConfig(tfds.core.BuilderConfig):
    """How videos are stored, see vatt_gh.media.form.Form, and how many processes decode."""

    fps: float = Form.fps
    short_side: int = Form.short_side
    audio_rate: int = Form.audio_rate
    segment_seconds: float = Form.segment_seconds
    jpeg_quality: int = Form.jpeg_quality
    storage: str = Form.storage
    longest_gap: float = Form.longest_gap
    damaged_share: float = Form.damaged_share
    workers: int = Settings.workers
    part: int = 1
    parts: int = 1
    selection: str = ""  # digest of the lists of stretches

    def form(self) -> Form:
        """Returns the settings that decide what is stored."""
        return Form(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Form)})


class SegmentBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Segments of videos: frames, sound, and the captions said in them.

    Writes shard by shard, because TFDS's GeneratorBasedBuilder writes everything twice and, with
    shuffling disabled, holds everything in memory in between.
    """

    VERSION = tfds.core.Version("3.0.0")
    RELEASE_NOTES: ClassVar = {
        "3.0.0": "Names of classes; sound alone.",
        "2.0.0": "Three storages: jpeg, mp4, index.",
    }
    BUILDER_CONFIGS: ClassVar = [
        SegmentConfig(name=storage, storage=storage, description=f"Frames and sound as {storage}.")
        for storage in STORAGES
    ]

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        layout = DATA_SETS[cls.name].layout
        cls.MANUAL_DOWNLOAD_INSTRUCTIONS = (
            f"Point manual_dir at your files; nothing is copied:{layout}"
        )

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.spool_dir: Path | None = None  # for decoded segments; None: the system's
        self.library: Library | None = None  # what to build, if already known
        self.selection: Selection | None = None  # None: every record is built
        self.limits = Limits()
        self.on_video: Callable[[float], None] = lambda seconds: None  # told of every finished one
        self.skipped: list[dict[str, str]] = []
        self.words: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features_of(self.builder_config.storage)),
            description=DATA_SETS[self.name].description,
            disable_shuffling=True,  # already in random order
            metadata=tfds.core.MetadataDict(
                dataclasses.asdict(self.builder_config.form()),
                part=self.builder_config.part,
                parts=self.builder_config.parts,
                **({SELECTION: digest} if (digest := self.builder_config.selection) else {}),
            ),
        )

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any = None
    ) -> None:
        library = self.library or DATA_SETS[self.name].scan(
            _manual_dir(dl_manager), Path(self.data_dir_root)
        )
        self.library = library
        self.info.metadata["manual_dir"] = str(library.folder.absolute())
        self.info.metadata["class_names"] = library.class_names
        splits = _by_split(library)
        decoding = decode_all(
            [
                (video, path, library.spans.get(video, WHOLE))
                for videos in splits.values()
                for video, path in videos
            ],
            form=self.builder_config.form(),
            workers=self.builder_config.workers,
            spool_dir=self.spool_dir,
            limits=self.limits,
        )
        with contextlib.closing(decoding):
            # One decoding runs through all shards, which are written in turn.
            self._shards = {
                split: [
                    functools.partial(self._examples, decoding, count)
                    for count in _shard_counts(videos)
                ]
                for split, videos in splits.items()
            }
            super()._download_and_prepare(dl_manager, download_config)
        self._write_notes()

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[[], Iterator[tuple[str, dict[str, Any]]]]]]:
        return self._shards

    def _examples(self, decoding: _Decoding, videos: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the examples of the next `videos` videos."""
        for _ in range(videos):
            video, decoded = next(decoding)
            captions = self._said_in(decoded)
            unsaid, written = set(captions), 0
            for _ in range(decoded.segments):
                _, segment = next(decoding)
                if self.selection and not self.selection.uses(video, segment.start, segment.end):
                    continue
                written += 1
                unsaid.difference_update(overlapping(captions, segment.start, segment.end))
                example = self._example(video, segment, captions)
                yield f"{video}/{segment.index}", example
                example.clear()  # already written, but TFDS keeps a shard's examples to count them
            if not decoded.error and (written or not self.selection):
                self._count(decoded, [row for row in captions if row not in unsaid])
            self.on_video(decoded.end)

    def _said_in(self, decoded: Decoded) -> list[Caption]:
        """Returns a video's captions; lists unusable files and captions."""
        video, path = decoded.video, str(self.library.path(decoded.video))
        reasons = decoded.remarks if decoded.error is None else [decoded.error]
        self.skipped += [{"path": path, "id": video, "reason": reason} for reason in reasons]
        if decoded.error is not None:
            return []
        captions, left_out = self.library.said_in(video, decoded.end)
        self.skipped += left_out
        return captions

    def _example(self, video: str, segment: Segment, captions: list[Caption]) -> dict[str, Any]:
        self.counts["segments"] += 1
        self.counts["milliseconds"] += round((segment.end - segment.start) * 1000)
        return example_of(self.library, video, segment, captions, self.builder_config.form())

    def _count(self, decoded: Decoded, captions: list[Caption]) -> None:
        """Counts a video and its captions in the records."""
        self.counts["videos"] += 1
        self.counts["without captions"] += not captions
        self.counts["without sound"] += not decoded.has_audio
        self.counts["captions"] += len(captions)
        for caption in captions:
            self.words.update(split_words(caption.text))

    def _write_notes(self) -> None:
        """Writes skipped files, words and counts beside the still unfinished records.

        So finished records always have them.
        """
        folder = Path(self.data_dir)
        rows = "".join(json.dumps(row) + "\n" for row in self.skipped)
        (folder / "skipped.jsonl").write_text(rows, encoding="utf-8")
        words = json.dumps(dict(sorted(self.words.items())), ensure_ascii=False)
        (folder / WORDS_FILE).write_text(words, encoding="utf-8")
        (folder / COUNTS_FILE).write_text(json.dumps(dict(sorted(self.counts.items()))))


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> Path:
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError:
        # TFDS's error for a missing folder does not show the layout; the scan's does.
        return Path(dl_manager._manual_dir)


def _by_split(library: Library) -> dict[str, list[tuple[str, Path]]]:
    """Lists each split's videos in random order; a part without videos has an empty "train"."""
    videos = list(library.videos)
    random.Random(0).shuffle(videos)
    splits: dict[str, list[tuple[str, Path]]] = {} if videos else {"train": []}
    for video, path in videos:
        splits.setdefault(library.splits.get(video, "train"), []).append((video, path))
    return dict(sorted(splits.items()))


def _shard_counts(videos: list[tuple[str, Path]]) -> list[int]:
    """Counts the consecutive videos in each shard."""
    clips = Counter(path for _, path in videos)  # stretches of one file share its size
    counts, size = [0], 0.0
    for _, path in videos:
        if size >= SHARD_BYTES:
            counts.append(0)
            size = 0.0
        counts[-1] += 1
        size += path.stat().st_size / clips[path]
    return counts
