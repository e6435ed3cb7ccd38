"""HowTo100M, or any folder of videos with captions in its layout, as a TFDS data set."""

import contextlib
import dataclasses
import functools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.decoding import Decoded, decode_all
from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption, overlapping
from vatt_gh.media.library import LAYOUT, Library, scan
from vatt_gh.media.video import Form, Segment
from vatt_gh.media.words import split_words

# Bytes of video files whose segments share a shard. Records may take ten times as much, and TFDS
# holds the examples of one shard in memory.
SHARD_BYTES = 32_000_000

_Decoding = Iterator[tuple[str, Segment | Decoded]]


@dataclasses.dataclass(kw_only=True)
class Howto100mConfig(tfds.core.BuilderConfig):
    """How videos are stored, see vatt_gh.media.video.Form, and how many processes decode."""

    fps: float = Form.fps
    short_side: int = Form.short_side
    audio_rate: int = Form.audio_rate
    segment_seconds: float = Form.segment_seconds
    jpeg_quality: int = Form.jpeg_quality
    workers: int = 2

    def form(self) -> Form:
        """The part that decides what is stored."""
        return Form(
            self.fps, self.short_side, self.audio_rate, self.segment_seconds, self.jpeg_quality
        )


class Howto100m(tfds.core.ShardBasedBuilder):
    """Segments of narrated videos: JPEG frames, sound, and the captions said in them.

    Shard by shard, because TFDS's GeneratorBasedBuilder writes everything twice and, with
    shuffling disabled, reads everything into memory in between.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First form: JPEG frames, int16 sound, captions."}
    BUILDER_CONFIGS: ClassVar = [
        Howto100mConfig(name="jpeg", description="JPEG frames, int16 sound.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Point manual_dir at your files; nothing is copied:{LAYOUT}"

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.spool_dir: Path | None = None  # where decoded segments wait; None: the system's
        self.library: Library | None = None  # what manual_dir holds, where that is known already
        self.skipped: list[dict[str, str]] = []
        self.words: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "video_id": tfds.features.Text(),
            "segment": np.int32,
            "start": np.float32,
            "end": np.float32,
            "frames": tfds.features.Sequence(
                tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
            ),
            # encoding: as a list of integers a negative sample would take ten bytes.
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
            "has_audio": np.bool_,
            "captions": tfds.features.Sequence(
                {"text": tfds.features.Text(), "start": np.float32, "end": np.float32}
            ),
        }
        form = dataclasses.asdict(self.builder_config.form())
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            description="Segments of narrated videos with frames, sound and captions.",
            disable_shuffling=True,  # they are in random order already
            metadata=tfds.core.MetadataDict(form),
        )

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any = None
    ) -> None:
        # Not dl_manager.manual_dir: its complaint about a missing one does not show the layout.
        library = self.library or scan(
            Path(dl_manager._manual_dir or dl_manager.manual_dir), Path(self.data_dir_root)
        )
        self.skipped += library.skipped
        videos = list(library.videos)
        random.Random(0).shuffle(videos)
        config = self.builder_config
        decoding = decode_all(
            videos, form=config.form(), workers=config.workers, spool_dir=self.spool_dir
        )
        with contextlib.closing(decoding):
            # One decoding goes through all shards, which are written one after the other.
            self._shards = [
                functools.partial(self._examples, decoding, count, library)
                for count in _shard_counts(videos)
            ]
            super()._download_and_prepare(dl_manager, download_config)
        self._write_notes(library)

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[[], Iterator[tuple[str, dict[str, Any]]]]]]:
        return {"train": self._shards}

    def _examples(
        self, decoding: _Decoding, videos: int, library: Library
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The examples of the next `videos` videos."""
        while videos:
            video, item = next(decoding)
            if isinstance(item, Segment):
                captions = library.captions.get(video, [])
                yield f"{video}/{item.index}", self._example(video, item, captions)
            else:
                self._finish(item, library)
                videos -= 1

    def _example(self, video: str, segment: Segment, captions: list[Caption]) -> dict[str, Any]:
        said = overlapping(captions, segment.start, segment.end)
        audio = segment.audio
        self.counts["segments"] += 1
        self.counts["milliseconds"] += round((segment.end - segment.start) * 1000)
        return {
            "video_id": video,
            "segment": segment.index,
            "start": segment.start,
            "end": segment.end,
            "frames": segment.frames,
            "audio": np.zeros(0, np.int16) if audio is None else audio,
            "has_audio": audio is not None,
            "captions": {
                "text": [row.text for row in said],
                "start": [row.start for row in said],
                "end": [row.end for row in said],
            },
        }

    def _finish(self, decoded: Decoded, library: Library) -> None:
        if decoded.error is not None:
            path = str(dict(library.videos)[decoded.video])
            self.skipped.append({"path": path, "id": decoded.video, "reason": decoded.error})
            return
        captions = library.captions.get(decoded.video, [])
        self.skipped += library.captions.skipped(decoded.video)
        self.counts["videos"] += 1
        self.counts["without captions"] += not captions
        self.counts["without sound"] += not decoded.has_audio
        self.counts["captions"] += len(captions)
        for caption in captions:
            self.words.update(split_words(caption.text))

    def _write_notes(self, library: Library) -> None:
        """Writes what was left out, and word counts beside the records while they are unfinished.

        So finished records always have them.
        """
        skipped = Path(self.data_dir_root) / "skipped.jsonl"
        rows = "".join(json.dumps(row) + "\n" for row in self.skipped)
        skipped.write_text(rows, encoding="utf-8")
        if not self.counts["segments"]:
            raise UserError(
                f"None of the {len(library.videos)} videos can be used.",
                where=library.videos[0][1].parent,
                expected="at least one file that can be decoded",
                todo=f"see the reasons in {skipped}",
            )
        words = json.dumps(dict(sorted(self.words.items())), ensure_ascii=False)
        (Path(self.data_dir) / "words.json").write_text(words, encoding="utf-8")


def _shard_counts(videos: list[tuple[str, Path]]) -> list[int]:
    """How many videos in a row go into each shard."""
    counts, size = [0], 0
    for _, path in videos:
        if size >= SHARD_BYTES:
            counts.append(0)
            size = 0
        counts[-1] += 1
        size += path.stat().st_size
    return counts
