"""Embeds media files and text with a trained model."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh.batch import AUDIOVISUAL
from vatt_gh.config import flatten
from vatt_gh.data.segments import covering, segment_windows
from vatt_gh.data.text import Tokenizer
from vatt_gh.errors import UserError
from vatt_gh.evaluation.features import Weights, embed_batch, embed_texts
from vatt_gh.evaluation.loading import load_for_evaluation, stored_config, weights_of
from vatt_gh.evaluation.retrieval import unit
from vatt_gh.media.form import Form, MediaError, Segment, form_of
from vatt_gh.media.notes import Notes
from vatt_gh.media.sound_file import is_sound_file
from vatt_gh.media.video import read_segments
from vatt_gh.models.vatt import Vatt

_WINDOW = ("frames", "fps", "size", "audio_samples", "words")
Windows = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A model's outputs for n windows.

    Attributes:
        start, end: [n] float32, seconds in the file.
        features: pooled features, [n, d] float32 by modality.
        embeddings: head outputs by name, such as 'video_to_text' [n, D] float32, of unit length:
            their dot product is the cosine that retrieval ranks by.
        masks: [n] bool by modality: whether the window has it; vectors without it mean nothing.
    """

    start: np.ndarray
    end: np.ndarray
    features: dict[str, np.ndarray]
    embeddings: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Embedder:
    """A trained model that embeds media files and text; `vatt_gh.load` makes one.

    Attributes:
        model: built without an axis name.
        weights: weights of the model.
        words: the run's vocabulary.
        config: the whole configuration.
        audio_rate: sample rate of the sound, in Hz.
    """

    model: Vatt
    weights: Weights
    words: list[str]
    config: ConfigDict
    audio_rate: int

    @property
    def form(self) -> Form:
        """The form that files are converted to: that of data.build_*, as JPEG images."""
        stored = form_of(self.config.data)
        return dataclasses.replace(stored, storage="jpeg", audio_rate=self.audio_rate)

    @property
    def fingerprint(self) -> str:
        """A digest of weights, words, model and windows.

        Vectors can be compared only where it is the same.
        """
        digest = hashlib.blake2b(digest_size=12)
        data = {name: self.config.data[name] for name in _WINDOW}
        settings = [flatten(self.config.model), data, dataclasses.asdict(self.form)]
        digest.update(json.dumps(settings, sort_keys=True).encode())
        for leaf in jax.tree.leaves(self.weights):
            digest.update(np.asarray(leaf).tobytes())
        digest.update("\n".join(self.words).encode())
        return digest.hexdigest()

    def embed_video(self, path: Path | str, every: float = 0.0) -> Embedded:
        """Embeds all windows of a video, picture and sound.

        Args:
            path: a media file.
            every: seconds from one window to the next; 0: the length of a window.

        Returns:
            Its windows, in order.

        Raises:
            UserError: the file cannot be read.
        """
        return self._embed_file(path, every, AUDIOVISUAL)

    def embed_audio(self, path: Path | str, every: float = 0.0) -> Embedded:
        """Embeds the sound of a sound file or video; arguments as in `embed_video`.

        Raises:
            UserError: the file cannot be read, or has no sound.
        """
        found = self._embed_file(path, every, ("audio",))
        if not found.masks["audio"].any():
            raise UserError(
                "There is no sound to embed.",
                where=path,
                expected="a file with sound",
                todo="give another file",
            )
        return found

    def embed_text(self, texts: Sequence[str] | str) -> np.ndarray:
        """Embeds sentences.

        Args:
            texts: N sentences, or one; words beyond data.words are cut off.

        Returns:
            [N, D] float32 of unit length, to compare with 'video_to_text'.
        """
        texts = [texts] if isinstance(texts, str) else texts
        tokenizer, size = Tokenizer(self.words, self.config.data.words), self.config.eval.batch_size
        return unit(embed_texts(self.model, self.weights, texts, tokenizer, size))

    def places(self, segment: Segment, every: float) -> list[list[int]]:
        """Lists the first frames of windows that cover a segment, in parts of at most a batch."""
        firsts = covering(segment, self.form, self.config.data, every)
        size = self.config.eval.batch_size
        return [firsts[k : k + size] for k in range(0, len(firsts), size)]

    def windows(self, segment: Segment, firsts: Sequence[int]) -> Windows:
        """Decodes windows of a segment, see `data.segments.segment_windows`."""
        return segment_windows(segment, self.form, self.config.data, firsts)

    def embed_windows(
        self, parts: Iterable[Windows], modalities: Sequence[str] = AUDIOVISUAL
    ) -> Iterator[Embedded]:
        """Embeds windows in full batches.

        Args:
            parts: results of `windows`, from several segments or files.
            modalities: modalities to embed.

        Yields:
            The same windows in the same order, in parts of at most eval.batch_size.
        """
        size = self.config.eval.batch_size
        for batch in _batches(parts, size):
            inputs = {m: batch[m] for m in modalities}
            features, embeddings = embed_batch(self.model, self.weights, inputs, size)
            yield Embedded(
                start=batch["start"],
                end=batch["end"],
                features=features,
                embeddings={name: unit(x) for name, x in embeddings.items()},
                masks={m: batch[f"{m}_mask"] for m in modalities},
            )

    def _embed_file(self, path: Path | str, every: float, modalities: Sequence[str]) -> Embedded:
        path = Path(path)
        if is_sound_file(path):
            modalities = ("audio",)
        notes = Notes()
        try:
            segments = read_segments(path, self.form, notes)
            windows = (
                self.windows(s, firsts) for s in segments for firsts in self.places(s, every)
            )
            parts = list(self.embed_windows(windows, modalities))
        except MediaError as error:
            raise UserError(
                f"The file cannot be embedded: it {error.reason}.",
                where=path,
                expected="a video or sound file",
                todo="give another file",
            ) from error
        found = concatenated(parts)
        if notes.sound.problem() is not None:  # as the build does
            found.masks["audio"][:] = False
        return found


def load(workdir: Path | str, config: ConfigDict | None = None) -> Embedder:
    """Loads a trained model to embed files and text with.

    Args:
        workdir: work directory of a run.
        config: the whole configuration; None: the one stored there.

    Returns:
        The embedder, with the newest checkpoint's weights.

    Raises:
        UserError: there is no such run or no checkpoint, or they do not match.
    """
    config = stored_config(Path(workdir)) if config is None else config
    loaded = load_for_evaluation(config, Path(workdir))
    weights = weights_of(loaded.state)
    return Embedder(loaded.model, weights, loaded.words, config, loaded.audio_rate)


def concatenated(parts: Sequence[Embedded]) -> Embedded:
    """Joins several parts into one."""

    def join(pieces: list) -> object:
        if isinstance(pieces[0], dict):
            return {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
        return np.concatenate(pieces)

    names = [field.name for field in dataclasses.fields(Embedded)]
    return Embedded(**{name: join([getattr(p, name) for p in parts]) for name in names})


def _batches(parts: Iterable[Windows], size: int) -> Iterator[Windows]:
    """Joins and cuts parts into batches of `size` windows; the last one may be smaller."""
    waiting: list[Windows] = []
    for part in itertools.chain(parts, [None]):
        if part is not None:
            waiting.append(part)
        count = sum(len(p["start"]) for p in waiting)
        if count < size and (part is not None or not count):
            continue
        whole = {name: np.concatenate([p[name] for p in waiting]) for name in waiting[0]}
        full = count // size * size if part is not None else count
        for first in range(0, full, size):
            yield {name: x[first : min(first + size, full)] for name, x in whole.items()}
        waiting = [{name: x[full:] for name, x in whole.items()}] if full < count else []
