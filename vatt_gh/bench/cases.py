"""The cases of the harmonization measurements: sizes, synthetic batches, steps to measure."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vatt_gh import config as configuration
from vatt_gh.batch import MASKS, MODALITIES, neutral
from vatt_gh.harmonize import ENGINES, Method, harmonized_gradients
from vatt_gh.harmonize.trees import Tree
from vatt_gh.models.sizes import MODELS
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.construct import model_of, optimizer_of
from vatt_gh.training.harmonization import engine_of
from vatt_gh.training.step import create_state, train_step

Array = jax.Array
MeasuredStep = Callable[..., Tree]  # (state, batch) -> (gradients or something proportional, ...)

_WORDS = 2_000  # rows of the word table, unless the size is a real one
CASES = ("video_tower", "three_tower", "shared_encoder")
PLAIN = "plain"  # VATT's step without harmonization, which the others are compared with
DEFAULT_ENGINE = configuration.default().harmonize.engine
SKETCHING = configuration.engines_with("sketch")
# Keys of config.harmonize by step: the harmonized steps are named after their engines.
HARMONIZED: dict[str, dict[str, Any]] = {
    **{engine: {"engine": engine} for engine in ENGINES},
    **{
        f"{engine}_sketch{size}": {"engine": engine, "sketch": size}
        for engine in SKETCHING
        for size in (32, 64)
    },
}
STEPS = {PLAIN: {"realign": False, "curriculum": False}, **HARMONIZED}


@dataclasses.dataclass(frozen=True)
class Size:
    """Sizes of a measurement.

    Attributes:
        model: overrides of the configuration's model, {"a.b": value}.
        data: overrides of its data.
        keep_tokens: share of tokens that DropToken keeps.
        batch: samples per step.
        words: rows of the word table.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    keep_tokens: float
    batch: int
    words: int = _WORDS


def _transformer(tower: str, layers: int, width: int) -> dict[str, int]:
    sizes = {"layers": layers, "d_model": width, "d_ff": 4 * width, "heads": width // 64}
    return {f"{tower}.{key}": value for key, value in sizes.items()}


def third(width: int = 256, layers: int = 4, batch: int = 8) -> Size:
    """Takes a third of tx_fac_bbs's widths, depths and tokens, and so as many tokens per width."""
    towers = [("video", layers, width), ("audio", layers, width), ("text", layers // 2, 192)]
    model = {key: value for tower in towers for key, value in _transformer(*tower).items()}
    data = {"frames": 32, "size": 128, "audio_samples": 200 * width}
    return Size({**model, "d_post_proj": width}, data, 0.5, batch)


def short() -> Size:
    """Makes sequences short relative to the width: 128 tokens, width 256."""
    size = third(batch=16)
    return dataclasses.replace(size, data={**size.data, "size": 64}, keep_tokens=1.0)


def tiny() -> Size:
    """Returns the smallest size that runs, to try the measurement itself."""
    size = third(width=64, layers=2, batch=4)
    return dataclasses.replace(size, data={**size.data, "frames": 8, "size": 32})


def real(name: str) -> Size:
    """Gives a named model the original's inputs: 32 x 224 x 224 video, 153,600 samples of sound."""
    return Size({"": MODELS[name]()}, {}, 0.5, 8, words=65_536)


SIZES: dict[str, Callable[[], Size]] = {
    "third": third,
    "short": short,
    "tiny": tiny,
    "tx_fac_bbs": lambda: real("tx_fac_bbs"),
    "ut_fac_medium": lambda: real("ut_fac_medium"),
}


def configure(size: Size, case: str, step: str) -> ConfigDict:
    """Makes the whole configuration of one measurement.

    Args:
        size: a value of SIZES.
        case: one of CASES.
        step: a key of STEPS.

    Returns:
        The configuration.
    """
    config = configuration.default()
    flat = dict(size.model)
    config.model.update(flat.pop("", {}))
    config.model.update_from_flattened_dict(flat)
    config.model.kind = "shared" if case == "shared_encoder" else "three_tower"
    config.model.keep_tokens = size.keep_tokens
    config.data.update(size.data)
    # Not part of harmonization's cost.
    config.data.colour_jitter = config.data.audio_noise = 0.0
    config.train.batch_size = size.batch
    config.harmonize.update({**configuration.PAPER, **STEPS[step]})
    return config


def make(config: ConfigDict, case: str, size: Size) -> MeasuredStep:
    """Makes a step.

    Args:
        config: configuration from `configure`.
        case: the "video_tower" alone under two contrastive losses, or a whole training step.
        size: the size of this measurement.

    Returns:
        (state, batch) -> a tree proportional to the gradients, and more.
    """
    model = model_of(config, words=size.words, audio_rate=config.data.build_audio_rate)
    if case == "video_tower":
        return tower_step(config, model)
    optimizer = optimizer_of(config.train)

    def step(state: Tree, batch: dict[str, Array]) -> Tree:
        new, output = train_step(
            state, batch, model=model, optimizer=optimizer, config=config, axis_name=None
        )
        return new.opt_state.first, new.params, output

    return step


def draw(config: ConfigDict, case: str, size: Size) -> tuple[Tree, dict[str, Array]]:
    """Draws the inputs of a case, the same for all STEPS.

    Args:
        config, case, size: see `make`.

    Returns:
        The state and the batch, on the first device.
    """
    model = model_of(config, words=size.words, audio_rate=config.data.build_audio_rate)
    batch = random_batch(config, size)
    # Drawn on the host: a GPU's compiler would take a minute for code that runs once.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        sample = {m: np.asarray(batch[m][0]) for m in MODALITIES}
        state = create_state(model, optimizer_of(config.train), sample, seed=0)
    state = jax.device_put(state, jax.local_devices()[0])
    if case == "video_tower":
        return {"video": state.params["towers"]["video"]}, {"video": batch["video"]}
    return state, batch


def tower_step(config: ConfigDict, model: Vatt) -> MeasuredStep:
    """Makes a step of the video tower under two losses that couple samples, with fixed targets.

    Args:
        config: configuration from `configure`.
        model: the model of that configuration.

    Returns:
        ({"video": parameters of the tower}, {"video": [B, T, H, W, 3]}) -> (gradients, ...).
    """
    keep = model.draw_keep(jax.random.key(1))
    others = jax.random.normal(
        jax.random.key(2), (2, config.train.batch_size, config.model.video.d_model)
    )

    def losses(features: dict[str, Array]) -> list[Array]:
        scores = [features["video"].astype(jnp.float32) @ other.T for other in others]
        return [jax.nn.logsumexp(s, axis=1) - jnp.diagonal(s) for s in scores]

    def encode(params: Tree, sample: tuple[dict[str, Array], Array]) -> dict[str, Array]:
        return model.encode_one(params, *sample, keep)

    def plain(params: Tree, inputs: Tree) -> Tree:
        def total(params: Tree) -> Array:
            features = jax.vmap(encode, in_axes=(None, 0))(params, inputs)
            return sum(jnp.sum(loss) for loss in losses(features))

        return (jax.grad(total)(params),)

    def harmonized(params: Tree, inputs: Tree) -> Tree:
        found = harmonized_gradients(
            encode,
            params,
            inputs,
            losses,
            method=Method(realign=True, curriculum=True),
            cutoff=config.harmonize.gamma_start,
            engine=engine_of(config.harmonize),
            microbatch=config.train.microbatch,
            key=jax.random.key(3),
        )
        return found.gradients, found.coefficients

    def step(params: Tree, batch: dict[str, Array]) -> Tree:
        keys = jax.random.split(jax.random.key(4), config.train.batch_size)
        compares = configuration.compares_gradients(config.harmonize)
        return (harmonized if compares else plain)(params, (batch, keys))

    return step


def random_batch(config: ConfigDict, size: Size) -> dict[str, Array]:
    """Draws a batch of noise with all modalities, in the training step's form."""
    rng = np.random.default_rng(0)
    data, count = config.data, config.train.batch_size
    shape = (count, data.frames, data.size, data.size, 3)
    words = (count, data.candidates, data.words)
    arrays = {
        "video": rng.integers(0, 256, shape, np.uint8),
        "audio": rng.uniform(-1, 1, (count, data.audio_samples)).astype(np.float32),
        "text": rng.integers(1, size.words, words).astype(np.int32),
        **{name: np.ones(count, bool) for name in MASKS},
    }
    return jax.device_put(neutral(arrays))
