"""The original's variable names for our parameters, derived from the parameter tree.

A TensorFlow object-graph checkpoint names a variable by the attributes that lead to it, e.g.
`model/layer_with_weights-0/_base_layer/vid_backbone/_base/tx/layers/3/mha/q/kernel`. This module
has no sizes: depths, sizes and optional parts come from the tree. Kernels of Dense and convolutions
have the same axes on both sides, with one exception (`is_pointwise_kernel`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from flax.traverse_util import flatten_dict

NestedDict = Mapping[str, Any]  # of arrays, or of their shapes
Names = dict[tuple[str, ...], str]  # by the path of keys

ROOT = "model/layer_with_weights-0"  # root name in a published checkpoint
_BASE = f"{ROOT}/_base_layer"
_UNIFIED = f"{_BASE}/unified_backbone"
_PROJECTIONS = {"query": "q", "key": "k", "value": "v", "out": "o"}
_PATCHES = {5: "voxel_to_patch", 4: "spectrum_to_patch", 3: "wave_to_patch"}  # by kernel's rank
_SHORT = {"video": "vid", "audio": "aud", "text": "txt"}
_NORMS = {"pre_norm": "pre_bn", "post_norm": "bn"}
_STATISTICS = {"mean": "moving_mean", "var": "moving_variance"}
_FAC = {
    "video_to_hidden": "vid_to_hid",
    "hidden_to_audio": "hid_to_va",
    "audio_to_text": "va_to_vat",
    "audio_to_video": "aud_to_va",
    "text_to_video": "txt_to_vat",
    "video_to_joint": "vid_to_vat",
    "audio_to_joint": "aud_to_vat",
    "text_to_joint": "txt_to_vat",
}


def model_names(variables: NestedDict) -> Names:
    """Names a pre-training model's variables (TX_FAC or UT_FAC, depending on its structure).

    Args:
        variables: {'params': {'towers', 'heads'}, 'batch_stats': for the heads}; arrays or their
            shapes.

    Returns:
        {path in `variables`: name}.
    """
    params, statistics = variables["params"], variables.get("batch_stats", {})
    towers, heads = params["towers"], f"{ROOT}/_head_layer/_bridge_heads/0"
    if "encoder" in towers:
        names = _below(shared_names(towers), _UNIFIED)
    else:
        names = {
            **_below(grid_tower_names(towers["video"]), f"{_BASE}/vid_backbone", "video"),
            **_below(grid_tower_names(towers["audio"]), f"{_BASE}/aud_backbone", "audio"),
            **_below(text_tower_names(towers["text"]), f"{_BASE}/txt_backbone", "text"),
        }
    return {
        **_below(names, "", "params", "towers"),
        **_below(head_names(params["heads"]), heads, "params", "heads"),
        **_below(head_names(statistics), heads, "batch_stats"),
    }


def classifier_names(variables: NestedDict, root: str = ROOT) -> Names:
    """Names a fine-tuned classifier's variables.

    Args:
        variables: {'params': {'backbone', 'classifier'}}.
        root: the model's name in the checkpoint.

    Returns:
        {path in `variables`: name}.
    """
    params = variables["params"]
    names = _below(grid_tower_names(params["backbone"]), root, "params", "backbone")
    head = {(leaf,): f"_ops/cls/{leaf}" for leaf in params["classifier"]}
    return names | _below(head, root, "params", "classifier")


def backbone_names(variables: NestedDict, modality: str, shared: bool) -> Names:
    """Names the variables that a classifier starts from, as in a pre-training checkpoint.

    Args:
        variables: {'params': {'backbone', 'classifier'}}; the classifier's own head gets no name.
        modality: 'video' or 'audio'.
        shared: whether the checkpoint holds a shared encoder (UT_FAC).

    Returns:
        {path in `variables`: name}.
    """
    backbone = variables["params"]["backbone"]
    if not shared:
        names = grid_tower_names(backbone)
        return _below(names, f"{_BASE}/{_SHORT[modality]}_backbone", "params", "backbone")

    def name(path: tuple[str, ...]) -> str:
        # In a shared encoder the parts are one level higher than in a tower.
        path = (modality, *path[1:]) if path[0] == "tokens" else path
        return f"unified_transformer/{_shared_name(path, modality)}"

    return _below(_named(flatten_dict(backbone), name), _UNIFIED, "params", "backbone")


def grid_tower_names(tree: NestedDict) -> Names:
    """Names a GridTower's parameters below the original's video or audio module."""
    leaves = flatten_dict(tree)
    kernel = leaves[("tokens", "embed", "kernel")]

    def name(path: tuple[str, ...]) -> str:
        match path:
            case ("tokens", "embed", leaf):
                return f"_base/{_PATCHES[len(kernel.shape)]}/{leaf}"
            case ("tokens", "positions", *rest):
                return f"_base/pos_embedding_lookup/{_position_name(rest)}"
            case ("tokens", "aggregate", "embedding"):
                return "_base/agg_embedding"
            case ("tokens", "pre_proj", leaf):
                return f"_base/pre_proj/{leaf}"
            case ("encoder", *rest):
                return f"_base/tx/{_encoder_name(rest)}"
            case ("post_proj", leaf):
                return f"_base/post_proj/{leaf}"
        raise KeyError(path)

    return _named(leaves, name)


def text_tower_names(tree: NestedDict) -> Names:
    """Names a T5Text's, BertText's or LinearText's parameters below the original's module."""

    def name(path: tuple[str, ...]) -> str:
        match path:
            case ("embed", "embedding") | ("tokens", "embed", "embedding"):
                return "embedding/embeddings"
            case ("pre_proj", leaf) | ("tokens", "pre_proj", leaf):
                return f"pre_proj/{leaf}"
            case ("aggregate", "embedding"):
                return "agg_embedding"
            case ("tokens", "aggregate", "embedding"):
                return "base_lm/agg_embedding"
            case ("tokens", "positions", *rest):
                return f"base_lm/pos_embedding_lookup/{_position_name(rest)}"
            case ("dense", leaf):
                return f"base_lm/conv1d/{leaf}"
            case ("encoder", *rest) if "relative" in tree["encoder"]:
                return f"base_lm/{_t5_name(rest)}"
            case ("encoder", *rest):
                return f"base_lm/tx/{_encoder_name(rest)}"
        raise KeyError(path)

    return _named(flatten_dict(tree), name)


def shared_names(tree: NestedDict) -> Names:
    """Names a SharedEncoder's parameters below the original's unified module."""
    return _named(flatten_dict(tree), lambda path: f"unified_transformer/{_shared_name(path)}")


def head_names(tree: NestedDict) -> Names:
    """Names a FacHead's or JointHead's parameters or batch statistics below the head."""

    def name(path: tuple[str, ...]) -> str:
        match path:
            case (part, norm, "norm", leaf):
                leaf = _STATISTICS.get(leaf) or _norm_leaf(leaf)
                return f"{_FAC[part]}/{_NORMS[norm]}/{leaf}"
            case (part, *rest):
                return "/".join((_FAC[part], *rest))
        raise KeyError(path)

    return _named(flatten_dict(tree), name)


def is_word_table(name: str) -> bool:
    """Tells whether a name means the word vectors, which the original does not train."""
    return name.endswith(("txt_backbone/embedding/embeddings", "raw_to_embeddings/text/embeddings"))


def is_pointwise_kernel(name: str) -> bool:
    """Tells whether a name means a convolution over single words [1, in, out], here a Dense."""
    return name.endswith("base_lm/conv1d/kernel")


def is_position_table(name: str) -> bool:
    """Tells whether a name means a position table, which may be stretched."""
    return name.endswith("_position_embeddings/embeddings")


def _shared_name(path: tuple[str, ...], backbone_of: str = "") -> str:
    """Names a parameter of a shared encoder, or of the backbone of one modality's classifier."""
    match path:
        case ("encoder", *rest):
            return f"tx/{_encoder_name(rest)}"
        case ("post_proj", leaf):
            return f"post_proj/{backbone_of}/{leaf}"
        case (part, leaf) if part.endswith("_post_proj"):
            return f"post_proj/{part.removesuffix('_post_proj')}/{leaf}"
        case (modality, "embed", "embedding"):
            return f"raw_to_embeddings/{modality}/embeddings"
        case (modality, "embed", leaf):
            return f"raw_to_embeddings/{modality}/{leaf}"
        case (modality, "pre_proj", leaf):
            return f"pre_proj/{modality}/{leaf}"
        case (modality, "positions", *rest):
            return f"pos_embedding_lookup/{modality}/{_position_name(rest)}"
        case (modality, "aggregate", "embedding"):
            return f"{_SHORT[modality]}_agg_embedding"
    raise KeyError(path)


def _position_name(path: list[str]) -> str:
    match path:
        case ["norm", leaf]:
            return f"layernorm/{_norm_leaf(leaf)}"
        case [axis, "embedding"]:
            axis = "spectoral" if axis == "spectral" else axis  # spelt so in the original
            return f"{axis}_position_embeddings/embeddings"
    raise KeyError(path)


def _encoder_name(path: list[str]) -> str:
    match path:
        case ["norm_final", leaf]:
            return f"final_layer_norm/{_norm_leaf(leaf)}"
        case [layer, "norm_attention", leaf]:
            return f"{_layer(layer)}/layer_norm/{_norm_leaf(leaf)}"
        case [layer, "attention", projection, leaf]:
            return f"{_layer(layer)}/mha/{_PROJECTIONS[projection]}/{leaf}"
        case [layer, "norm_mlp", leaf]:
            return f"{_layer(layer)}/feed_forward/layer_norm/{_norm_leaf(leaf)}"
        case [layer, "mlp", dense, leaf]:
            return f"{_layer(layer)}/feed_forward/mlp/{dense}/{leaf}"
    raise KeyError(path)


def _t5_name(path: list[str]) -> str:
    match path:
        case ["relative", "embedding"]:
            return "layers/0/self_attention/attention/relative_attention_bias/embeddings"
        case ["norm_final", "scale"]:
            return "final_layer_norm/weight"
        case [layer, "norm_attention", "scale"]:
            return f"{_layer(layer)}/self_attention/layer_norm/weight"
        case [layer, "attention", projection, leaf]:
            return f"{_layer(layer)}/self_attention/attention/{_PROJECTIONS[projection]}/{leaf}"
    return _encoder_name(path)  # the MLP and its norm are as usual


def _layer(name: str) -> str:
    return f"layers/{int(name.removeprefix('layer_'))}"


def _norm_leaf(leaf: str) -> str:
    return {"scale": "gamma", "bias": "beta"}[leaf]


def _named(leaves: dict[tuple[str, ...], Any], name: Callable[[tuple[str, ...]], str]) -> Names:
    names = {path: name(path) for path in leaves}
    if len(set(names.values())) != len(names):
        raise ValueError(f"two parameters have one name: {sorted(names.values())}")
    return names


def _below(names: Names, theirs: str, *ours: str) -> Names:
    prefix = f"{theirs}/" if theirs else ""
    return {(*ours, *path): prefix + name for path, name in names.items()}
