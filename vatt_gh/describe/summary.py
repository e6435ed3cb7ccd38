"""The numbers of a configuration as text for the screen."""

from collections.abc import Iterator

from ml_collections import ConfigDict

from vatt_gh.describe.numbers import Description, inspect

GIB = 2**30


def describe(config: ConfigDict, *, devices: int) -> str:
    """Describes a configuration as text.

    Args:
        config: the whole configuration, checked.
        devices: devices of all hosts.

    Returns:
        Lines: towers, parameters, FLOPs, memory, shapes.

    Raises:
        UserError: the given vocabulary cannot be read.
    """
    found = inspect(config, devices=devices)
    sections = (
        _towers(config.model, found),
        _parameters(found),
        _costs(config.harmonize, found),
        _needs(config.train, found),
        _shapes(found),
    )
    return "\n".join(line for section in sections for line in section)


def _towers(model: ConfigDict, found: Description) -> Iterator[str]:
    kind = {"three_tower": "Three towers", "shared": "One shared encoder"}[model.kind]
    remat = ", blocks recomputed in the backward pass" if model.remat else ""
    yield f"{kind}; activations {model.dtype}, parameters float32{remat}"
    for modality, shape in found.inputs.items():
        pooled, tokens = found.features[modality]
        kept = found.kept.get(modality)
        yield (
            f"  {modality:6} {_by(shape)} -> {_by(tokens[:-1])} tokens"
            + (f", {kept} kept in training" if kept else "")
            + f" -> features {_by(pooled)}; {_layers(model, modality, found)}"
        )
    for name, shape in found.embeddings.items():
        yield f"  heads  {name} {_by(shape)}"


def _layers(model: ConfigDict, modality: str, found: Description) -> str:
    prefix = f"towers/{modality}/" if model.kind == "three_tower" else "towers/"
    if not any(name.startswith(f"{prefix}encoder/layer_") for name in found.shapes):
        return f"{model.text.kind}, without layers of attention"
    size = model.video if model.kind == "shared" else model[modality]
    return (
        f"{size.layers} layers of width {size.d_model}, {size.heads} heads of {size.d_kv}, "
        f"MLP {size.d_ff}"
    )


def _parameters(found: Description) -> Iterator[str]:
    yield "Parameters"
    numbers = found.parameters
    for name, number in numbers.parts.items():
        yield f"  {name:28} {number:15,}"
    yield f"  {'total':28} {sum(numbers.parts.values()):15,}"
    yield f"  {'of these, word vectors':28} {numbers.word_table:15,}"
    yield f"  {'of these, shared set S':28} {numbers.shared:15,}"


def _costs(harmonize: ConfigDict, found: Description) -> Iterator[str]:
    flops = found.flops
    forward = sum(flops.training.values())
    yield "GFLOP a sample (matrix products; a multiplication and an addition are two)"
    yield f"  {'forward pass':28} {'all tokens':>12} {'training':>12}"
    for name, number in flops.evaluation.items():
        yield f"  {name:28} {number / 1e9:12,.3f} {flops.training[name] / 1e9:12,.3f}"
    total = sum(flops.evaluation.values())
    yield f"  {'total':28} {total / 1e9:12,.3f} {forward / 1e9:12,.3f}"
    method = [name for name in ("realign", "curriculum") if harmonize[name]]
    step = f"step, {' and '.join(method) or 'no harmonization'}"
    yield f"  {step:41} {flops.step / 1e9:12,.3f}  = {flops.step / forward:.2f} forward passes"


def _needs(train: ConfigDict, found: Description) -> Iterator[str]:
    memory, batch = found.memory, train.batch_size
    yield (
        f"GiB of a step on each of {found.devices} device(s), {batch // found.devices} of "
        f"{batch} samples"
    )
    rows = {
        "parameters": memory.parameters,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "harmonization, estimated": memory.harmonization,
        "activations, estimated": memory.activations,
        "total": memory.total(),
    }
    for name, number in rows.items():
        yield f"  {name:28} {number / GIB:12,.3f}"
    yield "  Estimated: what JAX's derivative keeps for the backward pass, and the engine."
    yield "  XLA's own buffers are not in it; nothing was compiled."


def _shapes(found: Description) -> Iterator[str]:
    yield "Shapes"
    for name, (shape, count) in found.shapes.items():
        yield f"  {name} {_by(shape)}" + (f" in each of {count} layers" if count > 1 else "")


def _by(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
