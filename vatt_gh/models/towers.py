"""The towers: turn a sample's video, sound or captions into pooled and token features."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from vatt_gh.models.layers import Dense, gelu
from vatt_gh.models.spectrogram import mel_magnitude, normalise
from vatt_gh.models.tokenize import AggregationToken, PatchEmbed, Positions, patches, word_vectors
from vatt_gh.models.transformer import Encoder

Array = jax.Array

VIDEO_AXES = ("temporal", "vertical", "horizontal")


class GridTokens(nn.Module):
    """Tokens of a regular grid (video, waveform or spectrogram), aggregation token first.

    Attributes:
        width: number of features d.
        window: patch size along each grid axis.
        axes: name of each grid axis' position table.
        rows: rows of each position table.
        axis_major: see Positions.
        pre_projection: whether a Dense with GELU precedes the positions.
        dropout_rate: dropout rate of tokens with positions added.
        dtype: dtype of the computation.
    """

    width: int
    window: tuple[int, ...]
    axes: tuple[str, ...]
    rows: tuple[int, ...]
    axis_major: tuple[int, ...]
    pre_projection: bool
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, keep: Array | None, train: bool) -> Array:
        """Makes tokens: [*grid, channels] float32, keep [n] int32 or None -> [1 + n, width]."""
        grid = tuple(n // size for n, size in zip(x.shape[:-1], self.window, strict=True))
        flat = patches(x, self.window)
        flat = flat if keep is None else flat[keep]
        y = PatchEmbed(self.width, self.window, self.dtype, name="embed")(flat)
        if self.pre_projection:
            y = gelu(Dense(self.width, dtype=self.dtype, name="pre_proj")(y))
        positions = Positions(self.axes, self.rows, self.width, self.axis_major, name="positions")
        y = y + positions(grid, keep).astype(self.dtype)
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return AggregationToken(self.width, name="aggregate")(y)


class WordTokens(nn.Module):
    """Tokens of a caption with learnt positions, aggregation token first (BERT, shared encoder).

    Attributes:
        words, d_embedding: size of the word table.
        learn: whether word vectors are trained.
        width: number of features d.
        rows: rows of the position table.
        use_bias: whether the projection from word vectors has a bias.
        dropout_rate: dropout rate of tokens with positions added.
        dtype: dtype of the computation.
    """

    words: int
    d_embedding: int
    learn: bool
    width: int
    rows: int
    use_bias: bool
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, ids: Array, train: bool) -> tuple[Array, Array]:
        """Makes tokens: [K, W] int32 -> [K, 1 + W, width], mask [K, 1 + W] bool (True = a word)."""
        y = word_vectors(ids, self.words, self.d_embedding, self.learn, self.dtype)
        y = gelu(Dense(self.width, self.use_bias, self.dtype, name="pre_proj")(y))
        positions = Positions(("temporal",), (self.rows,), self.width, (0,), name="positions")
        y = y + positions((ids.shape[-1],), None).astype(self.dtype)
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return AggregationToken(self.width, name="aggregate")(y), word_mask(ids)


def word_mask(ids: Array) -> Array:
    """Marks the aggregation token and non-padding words: [..., W] int32 -> [..., 1 + W] bool."""
    first = jnp.ones((*ids.shape[:-1], 1), bool)
    return jnp.concatenate([first, ids != 0], axis=-1)


class GridTower(nn.Module):
    """Video or audio tower: tokens, encoder, and a projection if fine-tuning needs one.

    Attributes:
        tokens: a GridTokens, unbound.
        encoder: an Encoder, unbound.
        d_post_proj: width of a Dense with GELU on all tokens after the encoder, or None.
    """

    tokens: GridTokens
    encoder: Encoder
    d_post_proj: int | None = None

    @nn.compact
    def __call__(self, x: Array, keep: Array | None, train: bool) -> tuple[Array, Array]:
        """Encodes a grid: [*grid, channels] -> pooled [d], tokens [n, d]."""
        y = self.encoder(self.tokens(x, keep, train), None, train)
        if self.d_post_proj is not None:
            y = gelu(Dense(self.d_post_proj, dtype=self.tokens.dtype, name="post_proj")(y))
        return y[0], y[1:]


class Spectrogram(nn.Module):
    """Turns sound into an image of log(1 + 10000 mel); has no parameters.

    Attributes:
        rate: samples a second.
        frame, hop: frame length and hop of the STFT, in samples.
        mel_bins, low_hz, high_hz: number of the mel filters, and their range in Hz.
    """

    rate: int
    frame: int
    hop: int
    mel_bins: int
    low_hz: float
    high_hz: float

    def __call__(self, audio: Array) -> Array:
        """Turns sound [S] into [frames, mel_bins, 1], float32 in [0, 1]; zeros if it is silent."""
        mel = mel_magnitude(
            audio,
            rate=self.rate,
            frame=self.frame,
            hop=self.hop,
            mel_bins=self.mel_bins,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
        )
        return normalise(jnp.log1p(10_000.0 * mel))[..., None]


class ThreeTowers(nn.Module):
    """A tower for each modality (TX_FAC).

    Attributes:
        video: GridTower on frames.
        audio: GridTower on the waveform or the spectrogram.
        text: a tower of models.text_towers.
        spectrogram: turns sound into an image for an audio tower that needs one, or None.
    """

    video: GridTower
    audio: GridTower
    text: nn.Module
    spectrogram: Spectrogram | None

    def features(
        self, sample: dict[str, Array], keep: dict[str, Array], train: bool
    ) -> dict[str, tuple[Array, Array]]:
        """Computes pooled features and token features of ONE sample.

        Arguments and modalities as in `__call__`.

        Returns:
            'video' ([d_v], [n_v, d_v]), 'audio' ([d_a], [n_a, d_a]), 'text' ([K, d_t],
            [K, W, d_t]).
        """
        out = {}
        if "video" in sample:
            out["video"] = self.video(sample["video"], keep.get("video"), train)
        if "audio" in sample:
            sound = as_grid(sample["audio"], self.spectrogram)
            out["audio"] = self.audio(sound, keep.get("audio"), train)
        if "text" in sample:
            out["text"] = self.text(sample["text"], train)
        return out

    def __call__(
        self, sample: dict[str, Array], keep: dict[str, Array], train: bool
    ) -> dict[str, Array]:
        """Computes pooled features of ONE sample.

        Args:
            sample: any of 'video' [T, H, W, 3], 'audio' [S] float32, 'text' [K, W] int32.
            keep: token indices [n] int32 by modality; a missing modality keeps all its tokens.
            train: whether dropout is on (needs the 'dropout' random stream).

        Returns:
            The same modalities: 'video' [d_v], 'audio' [d_a], 'text' [K, d_t].
        """
        return {m: pooled for m, (pooled, _) in self.features(sample, keep, train).items()}


class SharedEncoder(nn.Module):
    """One encoder for all modalities, after a tokenizer for each (UT_FAC).

    Attributes:
        video, audio: GridTokens with pre-projection.
        text: WordTokens.
        encoder: the shared Encoder.
        d_post_proj: width of the pooled features.
        spectrogram: see ThreeTowers.
    """

    video: GridTokens
    audio: GridTokens
    text: WordTokens
    encoder: Encoder
    d_post_proj: int
    spectrogram: Spectrogram | None

    def setup(self) -> None:
        dtype = self.encoder.dtype
        self.video_post_proj = Dense(self.d_post_proj, dtype=dtype)
        self.audio_post_proj = Dense(self.d_post_proj, dtype=dtype)
        self.text_post_proj = Dense(self.d_post_proj, dtype=dtype)

    def features(
        self, sample: dict[str, Array], keep: dict[str, Array], train: bool
    ) -> dict[str, tuple[Array, Array]]:
        """Computes pooled and token features of ONE sample; see `ThreeTowers.features`."""
        out = {}
        if "video" in sample:
            y = self.video(sample["video"], keep.get("video"), train)
            out["video"] = gelu(self.video_post_proj(self.encoder(y, None, train)))
        if "audio" in sample:
            sound = as_grid(sample["audio"], self.spectrogram)
            y = self.audio(sound, keep.get("audio"), train)
            out["audio"] = gelu(self.audio_post_proj(self.encoder(y, None, train)))
        if "text" in sample:
            y, mask = self.text(sample["text"], train)
            out["text"] = gelu(self.text_post_proj(self.encoder(y, mask, train)))
        return {m: (y[..., 0, :], y[..., 1:, :]) for m, y in out.items()}

    def __call__(
        self, sample: dict[str, Array], keep: dict[str, Array], train: bool
    ) -> dict[str, Array]:
        """Computes pooled features of ONE sample; see `ThreeTowers.__call__`."""
        return {m: pooled for m, (pooled, _) in self.features(sample, keep, train).items()}


def as_grid(audio: Array, spectrogram: Spectrogram | None) -> Array:
    """Turns [S] into [S, 1], or the spectrogram [frames, mel_bins, 1] if there is one."""
    return audio[:, None] if spectrogram is None else spectrogram(audio)


def token_count(length: tuple[int, ...], window: tuple[int, ...]) -> int:
    """Counts the patches of a grid."""
    return math.prod(n // size for n, size in zip(length, window, strict=True))
