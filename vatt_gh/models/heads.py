"""Projection heads: from pooled features to the video-audio and video-text spaces."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vatt_gh.batch import MODALITIES
from vatt_gh.models.layers import Dense

Array = jax.Array


class BatchNorm(nn.Module):
    """Batch norm over the global batch: momentum 0.9, epsilon 1e-5, biased variance.

    Attributes:
        axis_name: named axis of the devices that share statistics, or None.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Normalises [B, ..., d] -> [B, ..., d] float32."""
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            use_fast_variance=False,
            axis_name=self.axis_name,
            name="norm",
        )(x)


class Projection(nn.Module):
    """ReLU, Dense without bias, batch norm; with `pre_norm` also a batch norm first.

    Attributes:
        width: number of output features.
        pre_norm: whether a batch norm comes first.
        axis_name: see BatchNorm.
    """

    width: int
    pre_norm: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Projects [B, ..., d] -> [B, ..., width] float32."""
        if self.pre_norm:
            x = BatchNorm(self.axis_name, name="pre_norm")(x, train)
        x = Dense(self.width, use_bias=False, name="dense")(jax.nn.relu(x))
        return BatchNorm(self.axis_name, name="post_norm")(x, train)


class FacHead(nn.Module):
    """Fine and coarse spaces: video-audio first, video-text from it ("mlp_fac" of the original).

    Audio and text are never compared directly. Nothing is scaled to unit length here; the
    losses and the retrieval measures do that.

    Attributes:
        d_video_audio: width of the video-audio space.
        d_video_text: width of the video-text space.
        axis_name: see BatchNorm.
    """

    d_video_audio: int
    d_video_text: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: dict[str, Array], train: bool) -> dict[str, Array]:
        """Projects pooled features.

        Args:
            features: 'video' [B, d_v], 'audio' [B, d_a], 'text' [B, K, d_t]; a modality may be
                absent.
            train: whether batch norm uses the batch's statistics.

        Returns:
            'video_to_audio' [B, d_va], 'video_to_text' [B, d_vt], 'audio_to_video' [B, d_va],
            'text_to_video' [B, K, d_vt], float32; only for the modalities present.
        """
        out = {}
        if "video" in features:
            video = features["video"].astype(jnp.float32)
            hidden = Dense(self.d_video_audio, use_bias=False, name="video_to_hidden")(video)
            space = Projection(self.d_video_audio, True, self.axis_name, name="hidden_to_audio")
            out["video_to_audio"] = space(hidden, train)
            space = Projection(self.d_video_text, False, self.axis_name, name="audio_to_text")
            out["video_to_text"] = space(out["video_to_audio"], train)
        if "audio" in features:
            audio = features["audio"].astype(jnp.float32)
            out["audio_to_video"] = Dense(self.d_video_audio, name="audio_to_video")(audio)
        if "text" in features:
            text = features["text"].astype(jnp.float32)
            out["text_to_video"] = Dense(self.d_video_text, name="text_to_video")(text)
        return out


class JointHead(nn.Module):
    """One space for all three modalities ("mlp_joint" of the original).

    Attributes:
        width: width of the space.
        axis_name: see BatchNorm.
    """

    width: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: dict[str, Array], train: bool) -> dict[str, Array]:
        """Projects pooled features.

        Args:
            features, train: see FacHead.

        Returns:
            For each modality M present, 'M_to_N' for every other N, all equal: [B, width], for text
            [B, K, width], float32.
        """
        out = {}
        for modality, x in features.items():
            space = Projection(self.width, False, self.axis_name, name=f"{modality}_to_joint")
            projected = space(x.astype(jnp.float32), train)
            others = (m for m in MODALITIES if m != modality)
            out |= {f"{modality}_to_{other}": projected for other in others}
        return out
