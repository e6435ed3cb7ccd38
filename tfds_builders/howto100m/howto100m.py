"""HowTo100M, or any folder of videos with captions in its layout, as a TFDS data set."""

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.decoding import Decoded, decode_all
from vatt_gh.media.captions import Caption, overlapping
from vatt_gh.media.library import LAYOUT, Library, scan
from vatt_gh.media.video import Form, Segment
from vatt_gh.media.words import split_words


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


class Howto100m(tfds.core.GeneratorBasedBuilder):
    """Segments of narrated videos: JPEG frames, sound, and the captions said in them."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First form: JPEG frames, int16 sound, captions."}
    BUILDER_CONFIGS: ClassVar = [
        Howto100mConfig(name="jpeg", description="JPEG frames, int16 sound.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Point manual_dir at your files; nothing is copied:{LAYOUT}"

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.spool_dir: Path | None = None  # where decoded segments wait; None: the system's
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
            disable_shuffling=True,  # the generator shuffles; TFDS would write everything twice
            metadata=tfds.core.MetadataDict(form),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        # Not dl_manager.manual_dir: its complaint about a missing one does not show the layout.
        library = scan(Path(dl_manager._manual_dir or dl_manager.manual_dir))
        return {"train": self._generate_examples(library)}

    def _generate_examples(self, library: Library) -> Iterator[tuple[int, dict[str, Any]]]:
        self.skipped += library.skipped
        videos = list(library.videos)
        random.Random(0).shuffle(videos)
        config = self.builder_config
        key = 0
        for video, item in decode_all(
            videos, form=config.form(), workers=config.workers, spool_dir=self.spool_dir
        ):
            if isinstance(item, Segment):
                captions = library.captions.get(video, [])
                yield key, self._example(video, item, captions)
                key += 1
            else:
                self._finish(item, library)

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
        self.counts["videos"] += 1
        self.counts["without captions"] += not captions
        self.counts["without sound"] += not decoded.has_audio
        self.counts["captions"] += len(captions)
        for caption in captions:
            self.words.update(split_words(caption.text))

    def write_notes(self, version_dir: Path, data_dir: Path) -> None:
        """Writes word counts beside the records and what was left out into data_dir."""
        words = json.dumps(dict(sorted(self.words.items())), ensure_ascii=False)
        (version_dir / "words.json").write_text(words, encoding="utf-8")
        rows = "".join(json.dumps(row) + "\n" for row in self.skipped)
        (data_dir / "skipped.jsonl").write_text(rows, encoding="utf-8")
