"""The whole model, built from a configuration: towers, heads, and its shared parameters."""

import dataclasses
from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
from ml_collections import ConfigDict

from vatt_gh.batch import MODALITIES
from vatt_gh.models.bits import dropout_key
from vatt_gh.models.heads import FacHead, JointHead
from vatt_gh.models.text_towers import TEXT_TOWERS, encoder, word_tokens
from vatt_gh.models.towers import (
    VIDEO_AXES,
    GridTokens,
    GridTower,
    SharedEncoder,
    Spectrogram,
    ThreeTowers,
    token_count,
)

Array = jax.Array
Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Vatt:
    """Towers on single samples, heads on the batch; models of the same form are equal.

    Video is uint8 levels, as in a batch, or float32 in [-1, 1].

    Attributes:
        towers: ThreeTowers or SharedEncoder.
        heads: FacHead or JointHead.
        tokens: number of tokens of the modalities that use DropToken.
        kept: number of tokens kept in training.
        layers: blocks of each modality's transformer; of a shared encoder, under 'video'.
    """

    towers: nn.Module
    heads: nn.Module
    tokens: FrozenDict[str, int]
    kept: FrozenDict[str, int]
    layers: FrozenDict[str, int]

    def init(self, key: Array, sample: dict[str, Array]) -> tuple[Params, Params]:
        """Draws parameters.

        Args:
            key: random key.
            sample: one sample's 'video' [T, H, W, 3], 'audio' [S], 'text' [K, W]; zeros will do.

        Returns:
            params {'towers', 'heads'} and batch statistics of the heads.
        """
        tower_key, head_key = jax.random.split(key)
        sample = centred(sample)
        towers = self.towers.init(tower_key, sample, {}, False)["params"]
        pooled = self.towers.apply({"params": towers}, sample, {}, False)
        batch = {m: x[None] for m, x in pooled.items()}
        heads = self.heads.clone(axis_name=None).init(head_key, batch, False)
        return {"towers": towers, "heads": heads["params"]}, heads.get("batch_stats", {})

    def draw_keep(self, key: Array) -> dict[str, Array]:
        """Draws the tokens that DropToken keeps; they are the same for all samples of a step.

        Args:
            key: random key of the step.

        Returns:
            {modality: [n] int32}, in random order as in the original; empty if all are kept.
        """
        keep = {}
        for number, (modality, count) in enumerate(self.tokens.items()):
            if self.kept[modality] < count:
                order = jax.random.permutation(jax.random.fold_in(key, number), count)
                keep[modality] = order[: self.kept[modality]].astype(jnp.int32)
        return keep

    def encode_one(
        self,
        towers: Params,
        sample: dict[str, Array],
        key: Array,
        keep: dict[str, Array],
        train: bool = True,
    ) -> dict[str, Array]:
        """Computes the pooled features of one sample; see ThreeTowers for shapes.

        Every modality passes alone, with dropout from `key` and its own number, so that its
        features do not depend on the other modalities.
        """
        out = {}
        for number, modality in enumerate(MODALITIES):
            if modality in sample:
                out |= self.towers.apply(
                    {"params": towers},
                    centred({modality: sample[modality]}),
                    keep,
                    train,
                    rngs={"dropout": dropout_key(key, number)},
                )
        return out

    def encode(
        self, towers: Params, inputs: dict[str, Array], keys: Array, keep: dict[str, Array]
    ) -> dict[str, Array]:
        """Computes the pooled features of a batch in training.

        Args:
            towers: parameters of the towers.
            inputs: any of 'video' [B, T, H, W, 3], 'audio' [B, S], 'text' [B, K, W].
            keys: [B] random keys, one per sample.
            keep: token indices by modality.

        Returns:
            'video' [B, d_v], 'audio' [B, d_a], 'text' [B, K, d_t].
        """
        encode = jax.vmap(lambda sample, key: self.encode_one(towers, sample, key, keep))
        return encode(inputs, keys)

    def embed(
        self, params: Params, statistics: Params, inputs: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Computes features and embeddings of a batch at evaluation: all tokens, no dropout.

        Args:
            params: parameters of towers and heads.
            statistics: the heads' batch statistics.
            inputs: any of 'video' [B, T, H, W, 3], 'audio' [B, S], 'text' [B, K, W].

        Returns:
            Pooled features by modality, and the heads' embeddings (see FacHead).
        """
        towers = {"params": params["towers"]}
        features = jax.vmap(lambda x: self.towers.apply(towers, centred(x), {}, False))(inputs)
        variables = {"params": params["heads"], "batch_stats": statistics}
        return features, self.heads.apply(variables, features, False)

    def project(
        self, heads: Params, statistics: Params, features: dict[str, Array]
    ) -> tuple[dict[str, Array], Params]:
        """Computes a batch's embeddings in training, and the updated batch statistics."""
        variables = {"params": heads, "batch_stats": statistics}
        out, changed = self.heads.apply(variables, features, True, mutable=["batch_stats"])
        return out, changed.get("batch_stats", statistics)

    @property
    def one_encoder(self) -> bool:
        """Whether all modalities pass through one encoder."""
        return isinstance(self.towers, SharedEncoder)

    def is_shared(self, path: tuple[str, ...], modalities: Collection[str]) -> bool:
        """Tells whether a parameter is in S, the set that several losses reach.

        Args:
            path: names of a tower parameter.
            modalities: modalities whose features several losses depend on.

        Returns:
            True in the shared encoder, or in the towers of these modalities.
        """
        return path[0] == "encoder" if self.one_encoder else path[0] in modalities

    def is_last_block(self, path: tuple[str, ...], modalities: Collection[str]) -> bool:
        """Tells whether a parameter of S is in a last transformer block; arguments: `is_shared`."""
        if not self.is_shared(path, modalities):
            return False
        layers = self.layers["video" if self.one_encoder else path[0]]
        return f"layer_{layers - 1}" in path


def centred(inputs: dict[str, Array]) -> dict[str, Array]:
    """Converts a batch's inputs to the towers' inputs.

    Args:
        inputs: any of the modalities; 'video' [..., 3] uint8, or float32 in [-1, 1].

    Returns:
        The same, with video as float32 in [-1, 1].
    """
    video = inputs.get("video")
    if video is None or video.dtype != jnp.uint8:
        return inputs
    return inputs | {"video": video.astype(jnp.float32) * (2.0 / 255.0) - 1.0}


def build_vatt(
    config: ConfigDict,
    *,
    words: int,
    audio_rate: int,
    axis_name: str | None = None,
    token_multiple: int = 1,
) -> Vatt:
    """Builds the model of a configuration.

    Args:
        config: the whole configuration.
        words: number of rows of the word table.
        audio_rate: sample rate of the sound, in Hz.
        axis_name: named axis of the devices that share the heads' batch statistics.
        token_multiple: the encoder of video, or the shared encoder, pads its tokens to a multiple
            of this; results change by rounding alone.

    Returns:
        The model; it holds no parameters.
    """
    model = config.model
    mel = spectrogram(model, audio_rate)
    if model.kind == "shared":
        # The shared encoder has the sizes of model.video; every modality enters at its width.
        width = model.video.d_model
        towers = SharedEncoder(
            _grid_tokens(model, "video", width),
            _grid_tokens(model, "audio", width),
            word_tokens(model, words, width, use_bias=True),
            encoder(model, model.video, use_bias=True).clone(token_multiple=token_multiple),
            model.d_post_proj,
            mel,
        )
    else:
        video, audio = (grid_tower(model, modality) for modality in ("video", "audio"))
        video = video.clone(encoder=video.encoder.clone(token_multiple=token_multiple))
        towers = ThreeTowers(video, audio, TEXT_TOWERS[model.text.kind](model, words), mel)
    tokens = FrozenDict(_token_counts(config))
    kept = FrozenDict({m: max(1, int(model.keep_tokens * n)) for m, n in tokens.items()})
    layers = FrozenDict({m: model[m].layers for m in MODALITIES})
    return Vatt(towers, _head(model, axis_name), tokens, kept, layers)


def grid_tower(model: ConfigDict, modality: str) -> GridTower:
    """Builds the tower of one modality; for a shared encoder, the part that the modality passes.

    Args:
        model: the configuration's `model`.
        modality: 'video' or 'audio'.

    Returns:
        The module; it holds no parameters.
    """
    shared = model.kind == "shared"
    size = model.video if shared else model[modality]
    # The original's spectrogram tower has no biases in attention and MLP.
    use_bias = shared or modality == "video" or model.audio.input == "waveform"
    return GridTower(
        _grid_tokens(model, modality, size.d_model),
        encoder(model, size, use_bias=use_bias),
        model.d_post_proj if shared else None,
    )


def spectrogram(model: ConfigDict, rate: int) -> Spectrogram | None:
    """Makes the module from sound at `rate` Hz to the audio tower's image; None: it takes sound.

    Args:
        model: the configuration's `model`.
        rate: samples a second.

    Returns:
        The module, without parameters.
    """
    if model.audio.input == "waveform":
        return None
    mel = model.audio.spectrogram
    return Spectrogram(rate, mel.frame, mel.hop, mel.mel_bins, mel.mel_low_hz, mel.mel_high_hz)


def _token_counts(config: ConfigDict) -> dict[str, int]:
    data, model = config.data, config.model
    counts = {"video": token_count((data.frames, data.size, data.size), tuple(model.video.patch))}
    if model.audio.input == "waveform":  # the original never drops spectrogram tokens
        counts["audio"] = token_count((data.audio_samples,), (model.audio.patch,))
    return counts


def _grid_tokens(model: ConfigDict, modality: str, width: int) -> GridTokens:
    if modality == "video":
        layout = (tuple(model.video.patch), VIDEO_AXES, tuple(model.video.buckets), (0, 1, 2))
    elif model.audio.input == "waveform":
        layout = ((model.audio.patch,), ("temporal",), (model.audio.buckets,), (0,))
    else:
        mel = model.audio.spectrogram
        layout = (tuple(mel.patch), ("temporal", "spectral"), tuple(mel.buckets), (1, 0))
    shared, dtype = model.kind == "shared", jnp.dtype(model.dtype)
    return GridTokens(width, *layout, shared, model.position_dropout_rate, dtype)


def _head(model: ConfigDict, axis_name: str | None) -> nn.Module:
    if model.head.kind == "joint":
        return JointHead(model.head.d_video_audio, axis_name)
    return FacHead(model.head.d_video_audio, model.head.d_video_text, axis_name)
