"""One set of golden files: its location, its contents, and our modules with its sizes.

The files hold inputs, weights and outputs of the original TensorFlow model at tiny sizes. All
sizes come from the manifests and arrays: VATT_GH_GOLDEN names another folder, VATT_GH_GOLDEN_SET
another set in it.
"""

import functools
import json
import os
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from vatt_gh import config as configuration
from vatt_gh.interop.names import model_names
from vatt_gh.interop.transfer import fill
from vatt_gh.models.heads import FacHead, JointHead
from vatt_gh.models.text_towers import BertText, LinearText, T5Text
from vatt_gh.models.towers import (
    VIDEO_AXES,
    GridTokens,
    GridTower,
    SharedEncoder,
    WordTokens,
)
from vatt_gh.models.transformer import Encoder
from vatt_gh.models.vatt import MODALITIES, Vatt, build_vatt

FOLDER = Path(os.environ.get("VATT_GH_GOLDEN", Path(__file__).parent / "data"))
SET = os.environ.get("VATT_GH_GOLDEN_SET", "golden_a")


def path_of(name: str) -> Path:
    """The path of a file or folder; a chosen set may lack it, but not the repository's own."""
    path = FOLDER / name
    if not path.exists() and "VATT_GH_GOLDEN" in os.environ:
        pytest.skip(f"{path} is not in the chosen set")
    return path


class Golden:
    """One golden file.

    Attributes:
        config: the original's configuration of the run.
        manifest: the file's entry in the manifest.
        arrays: {key: array}; keys are "kind|rest" (w, in, mid, out, g, after_train).
    """

    def __init__(self, name: str):
        with np.load(path_of(f"{SET}_{name}.npz")) as file:
            self.arrays = {key: file[key] for key in file.files}
        self.manifest = _manifests()[f"{SET}_{name}"]
        self.config = self.manifest["config"]

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def part(self, prefix: str) -> dict[str, np.ndarray]:
        """Arrays with keys that start with "prefix|", by the rest of the key."""
        start = f"{prefix}|"
        return {k.removeprefix(start): v for k, v in self.arrays.items() if k.startswith(start)}

    def part_named(self, pattern: str) -> list[tuple]:
        """The pattern's groups and the array, for every key that matches as a whole."""
        found = ((re.fullmatch(pattern, key), array) for key, array in self.arrays.items())
        return [
            (match.groups() if match.re.groups > 1 else match.group(1), array)
            for match, array in found
            if match
        ]


@functools.cache
def _manifests() -> dict:
    models = json.loads((FOLDER / "manifest_models.json").read_text())
    return models | json.loads((FOLDER / "manifest_misc.json").read_text())


@functools.cache
def golden(name: str) -> Golden:
    """The golden file of a name without the set's name, e.g. "video"."""
    return Golden(name)


def weights(template, names, source: dict[str, np.ndarray]):
    """A tree with the golden weights; every weight of the file must have a place in it."""
    tree, report = fill(template, names, source)
    assert not report.missing and not report.unused, report
    return jax.tree.map(jnp.asarray, tree)


def init_shapes(module, *args):
    """Shapes of a module's variables, without drawing them."""
    return jax.eval_shape(lambda: module.init(jax.random.key(0), *args))


def encoder(config: dict, t5: bool = False) -> Encoder:
    extra = {}
    if t5:
        extra = {
            "t5": True,
            "relative_buckets": config["num_relative_buckets"],
            "relative_max_distance": config["max_relative_distance"],
        }
    return Encoder(
        config["num_layers"],
        config["num_heads"],
        config["d_kv"],
        config["d_ff"],
        use_bias=config.get("use_bias", False),
        **extra,
    )


def video_tower(config: dict) -> GridTower:
    size = config["spatial_patch_size"]
    axes = ("temporal", "vertical", "horizontal")
    rows = tuple(config[f"max_{axis}_buckets"] for axis in axes)
    window = (config["temporal_patch_size"], size, size)
    return _grid_tower(config, window, VIDEO_AXES, rows, (0, 1, 2))


def audio_tower(config: dict) -> GridTower:
    time = config["temporal_patch_size"]
    rows = config["max_temporal_buckets"]
    if "spectoral_patch_size" not in config:
        return _grid_tower(config, (time,), ("temporal",), (rows,), (0,))
    window = (time, config["spectoral_patch_size"])
    rows = (rows, config["max_spectoral_buckets"])
    return _grid_tower(config, window, ("temporal", "spectral"), rows, (1, 0))


def _grid_tower(config: dict, window, axes, rows, axis_major) -> GridTower:
    tokens = GridTokens(
        config["d_model"],
        window,
        axes,
        rows,
        axis_major,
        pre_projection=config["pre_projection"],
        dropout_rate=0.0,
        dtype="float32",
    )
    post = config["d_post_proj"] if config["post_projection"] else None
    return GridTower(tokens, encoder(config), post)


def text_tower(config: dict):
    words = (config["vocab_size"], config["d_embedding"], config["trainable_embeddings"])
    width = config["d_model"]
    if not config["is_transformer"]:
        return LinearText(*words, width, "float32")
    if config["use_agg_token"]:
        return T5Text(*words, width, encoder(config, t5=True), "float32")
    rows = config["max_temporal_buckets"]
    tokens = WordTokens(*words, width, rows, use_bias=False, dropout_rate=0.0, dtype="float32")
    return BertText(tokens, encoder(config))


def shared_encoder(config: dict) -> SharedEncoder:
    width, space = config["d_model"], config["max_vid_spatial_buckets"]
    size = config["vid_spatial_patch_size"]
    rest = {"dropout_rate": 0.0, "dtype": "float32"}
    video = GridTokens(
        width,
        (config["vid_temporal_patch_size"], size, size),
        VIDEO_AXES,
        (config["max_vid_temporal_buckets"], space, space),
        (0, 1, 2),
        pre_projection=True,
        **rest,
    )
    audio = GridTokens(
        width,
        (config["aud_temporal_patch_size"],),
        ("temporal",),
        (config["max_aud_temporal_buckets"],),
        (0,),
        pre_projection=True,
        **rest,
    )
    words = (config["txt_vocab_size"], config["txt_embedding_dim"])
    learn, rows = config["txt_embedding_trainable"], config["max_txt_temporal_buckets"]
    text = WordTokens(*words, learn, width, rows, use_bias=True, **rest)
    return SharedEncoder(video, audio, text, encoder(config), config["d_post_proj"], None)


def head(config: dict) -> FacHead | JointHead:
    widths = [config[f"{name}_kwargs"]["d_model"] for name in ("vid_to_aud_txt", "txt_to_vid_aud")]
    return JointHead(widths[0]) if config["name"] == "mlp_joint" else FacHead(*widths)


def whole_model(name: str) -> tuple[Vatt, dict[str, np.ndarray]]:
    """The pre-training model of a golden file, built from a configuration, and its batch."""
    file = golden(name)
    inputs = file.part("in")
    count = len(inputs["video"])
    batch = {
        "video": inputs["video"],
        "audio": inputs["audio"][..., 0],
        "text": inputs["text"].reshape(count, -1, inputs["text"].shape[-1]),
        "video_mask": np.ones(count, bool),
        "audio_mask": inputs["audio_mask"] > 0,
        "text_mask": inputs["text_mask"] > 0,
    }
    config, words = whole_config(name)
    data = config.data
    _, data.frames, data.size, *_ = batch["video"].shape
    data.audio_samples = batch["audio"].shape[1]
    return build_vatt(config, words=words, audio_rate=16_000), batch


def whole_config(name: str) -> tuple[ConfigDict, int]:
    """The configuration of a golden file's pre-training model, and its number of words."""
    file = golden(name)
    config = configuration.default()
    model = config.model
    if "unified" in file.config:
        words = _fill_shared(model, file.config["unified"])
    else:
        words = _fill_towers(model, file.config)
    heads = head(file.config["head"])
    model.head.d_video_audio, model.head.d_video_text = heads.d_video_audio, heads.d_video_text
    model.dropout_rate = model.attention_dropout_rate = model.position_dropout_rate = 0.0
    model.keep_tokens = 1.0
    return config, words


def from_original(config: ConfigDict, kind: str, words_file: Path | None = None) -> ConfigDict:
    """Gives a configuration the form of a golden checkpoint, to start from or to score.

    Args:
        config: changed in place.
        kind: of the checkpoint, such as 'tx_fac'.
        words_file: gets as many words as it has, which are made up; None: no words are needed.

    Returns:
        The configuration.
    """
    given, rows = whole_config(f"model_{kind}")
    config.model.update(given.model)
    frames, height, width = given.model.video.patch
    config.data.frames, config.data.size = 2 * frames, 2 * max(height, width)
    config.data.audio_samples = 8 * given.model.audio.patch
    config.init_from = f"tf:{path_of(f'tf_checkpoint_{kind}')}"
    if words_file is not None:
        words = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(rows - 4))]
        words_file.write_text("\n".join(words) + "\n")
        config.data.vocabulary = str(words_file)
    return config


def _fill_towers(model: ConfigDict, config: dict) -> int:
    video, audio, text = config["video"], config["audio"], config["text"]
    for ours, theirs in ((model.video, video), (model.audio, audio), (model.text, text)):
        _fill_encoder(ours, theirs)
    space = video["spatial_patch_size"]
    model.video.patch = (video["temporal_patch_size"], space, space)
    model.video.buckets = video_tower(video).tokens.rows
    model.audio.patch = audio["temporal_patch_size"]
    model.audio.buckets = audio["max_temporal_buckets"]
    model.text.d_embedding = text["d_embedding"]
    model.text.train_embeddings = text["trainable_embeddings"]
    model.text.relative_buckets = text["num_relative_buckets"]
    model.text.relative_max_distance = text["max_relative_distance"]
    return text["vocab_size"]


def _fill_shared(model: ConfigDict, config: dict) -> int:
    model.kind = "shared"
    _fill_encoder(model.video, config)
    towers = shared_encoder(config)
    model.video.patch, model.video.buckets = towers.video.window, towers.video.rows
    model.audio.patch, model.audio.buckets = towers.audio.window[0], towers.audio.rows[0]
    model.text.d_embedding, model.text.buckets = towers.text.d_embedding, towers.text.rows
    model.text.train_embeddings = towers.text.learn
    model.d_post_proj = towers.d_post_proj
    return towers.text.words


def _fill_encoder(ours: ConfigDict, theirs: dict) -> None:
    names = {"layers": "num_layers", "heads": "num_heads"}
    for key in ("layers", "d_model", "d_ff", "heads", "d_kv"):
        ours[key] = theirs[names.get(key, key)]


def whole_weights(model: Vatt, batch: dict[str, np.ndarray], source: dict[str, np.ndarray]):
    """Shapes, names and golden weights of a pre-training model's params and batch_stats."""
    sample = {m: batch[m][0] for m in MODALITIES}
    params, statistics = jax.eval_shape(lambda: model.init(jax.random.key(0), sample))
    shapes = {"params": params, "batch_stats": statistics}
    names = model_names(shapes)
    return shapes, names, weights(shapes, names, source)


@functools.cache
def setup(name: str):
    """Model, batch, shapes, names and golden weights of a whole model's file."""
    model, batch = whole_model(name)
    return model, batch, *whole_weights(model, batch, golden(name).part("w"))


def all_features(name: str, towers, train: bool):
    """Pooled and token features of a whole model's golden batch, by modality."""
    model, batch, *_ = setup(name)
    apply = functools.partial(model.towers.apply, {"params": towers}, method="features")
    return jax.vmap(lambda sample: apply(sample, {}, train))({m: batch[m] for m in MODALITIES})


@functools.cache
def evaluate(name: str):
    """Compiled: variables -> features and embeddings at evaluation."""
    model, batch, *_ = setup(name)
    inputs = {m: batch[m] for m in MODALITIES}

    @jax.jit
    def run(variables):
        params = variables["params"]
        _, embeddings = model.embed(params, variables["batch_stats"], inputs)
        return all_features(name, params["towers"], False), embeddings

    return run


def close(actual, expected, tolerance: float, what: str = "") -> None:
    """Asserts |actual - expected| <= tolerance, after giving `actual` the golden shape."""
    actual = np.asarray(actual, np.float64).reshape(expected.shape)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=what)


def local_means(losses, *masks):
    """The original's mean of a loss [b] over ITS replica's samples: each mask has its own sum.

    With two masks, this differs from the mean over samples that are valid in both.
    """
    weight = jnp.ones(losses.shape)
    for mask in masks:
        total = jnp.sum(mask)
        weight = weight * mask * jnp.where(total > 0, mask.shape[0] / jnp.maximum(total, 1), 0.0)
    return jnp.mean(jnp.where(weight > 0, losses, 0.0) * weight)
