"""Sizes and costs of models, and their report."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest
from models.test_sizes import COUNTS, WORD_TABLE, WORDS, shapes_of
from small import RATE, TERMS, small_batch, small_config

from vatt_gh import config as configuration
from vatt_gh.describe.numbers import activation_bytes, inspect, parameter_numbers, shape_table
from vatt_gh.models.sizes import MODELS
from vatt_gh.models.vatt import MODALITIES, build_vatt
from vatt_gh.modes import run
from vatt_gh.training.gradients import common_modalities

FLOAT32 = 4  # bytes
DEVICES = 4


def numbers_of(**overrides):
    config = small_config(**{"model.video.layers": 1, **overrides})
    return config, inspect(config, devices=DEVICES)


@functools.cache
def small():
    return numbers_of()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_parameters_of_named_models(name):
    config = configuration.default()
    config.model.update(MODELS[name]())
    model = build_vatt(config, words=WORDS, audio_rate=48_000)
    found = parameter_numbers(model, shapes_of(name), common_modalities(model, TERMS))
    assert found.word_table == WORD_TABLE
    expected = COUNTS[name]
    if config.model.kind == "shared":
        assert found.parts["encoder"] == expected["encoder"] == found.shared
    else:
        assert found.parts == {**expected, "text": expected["text"] + WORD_TABLE}
        assert found.shared == expected["video"]
    assert sum(found.parts.values()) == sum(expected.values()) + WORD_TABLE


def test_shapes_of_layers_that_are_alike_share_a_row():
    table = shape_table(shapes_of("tx_fac_lbs"))
    kernel = "towers/video/encoder/layer_*/mlp/wi/kernel"
    assert table[kernel] == ((1024, 4096), 24)
    assert table["towers/text/encoder/layer_*/norm_attention/scale"] == ((512,), 6)
    assert sum(count for _, count in table.values()) == len(
        jax.tree.leaves(shapes_of("tx_fac_lbs"))
    )


def test_numbers_of_a_small_model():
    config, found = small()
    data, model = config.data, config.model
    assert found.inputs["video"] == (data.frames, data.size, data.size, 3)
    tokens = (data.frames // 2) * (data.size // 8) ** 2
    assert found.features["video"] == ((model.video.d_model,), (tokens, model.video.d_model))
    assert found.kept["video"] == tokens // 2
    assert found.embeddings["text_to_video"] == (data.candidates, model.head.d_video_text)
    total = sum(found.parameters.parts.values())
    memory = found.memory
    assert memory.parameters == memory.gradients == FLOAT32 * total
    assert memory.optimizer == FLOAT32 * (2 * total + 1)  # two moments and the count
    assert memory.total() == sum(dataclasses.astuple(memory))
    flops = found.flops
    assert flops.training["video"] < flops.evaluation["video"]
    assert flops.training["text"] == flops.evaluation["text"]  # DropToken does not drop words


def test_harmonization_costs_what_its_engine_needs():
    config, exact = small()
    off = {"harmonize.realign": False, "harmonize.curriculum": False}
    _, plain = numbers_of(**off)
    _, single = numbers_of(**{"harmonize.engine": "vmap"})
    forward = sum(plain.flops.training.values())
    # A backward pass costs two forward passes, minus the derivatives by the towers' inputs.
    assert 2.5 * forward < plain.flops.step < 3 * forward
    assert plain.flops.step < exact.flops.step
    assert plain.memory.harmonization == 0 < exact.memory.harmonization
    microbatch, losses = config.train.batch_size // DEVICES, 2
    held = microbatch * losses * FLOAT32 * single.parameters.shared
    assert single.memory.harmonization == held
    _, at_features = numbers_of(**{"harmonize.cosine_over": "features"})
    # The picture's features, which both losses depend on.
    pooled = losses * config.model.video.d_model
    assert at_features.memory.harmonization == microbatch * FLOAT32 * pooled


def test_recomputation_and_bfloat16_keep_less():
    kept = {}
    for key, value in (("remat", False), ("remat", True), ("dtype", "bfloat16")):
        # In bfloat16, the other engine would pad so few tokens to nearly twice as many.
        config = small_config(**{f"model.{key}": value, "harmonize.engine": "vmap"})
        model = build_vatt(config, words=9, audio_rate=RATE)
        sample = {
            m: jnp.asarray(x[0]) for m, x in small_batch(config, 1).items() if m in MODALITIES
        }
        towers = jax.eval_shape(lambda m=model, s=sample: m.init(jax.random.key(0), s))[0]["towers"]
        kept[value] = activation_bytes(model, towers, sample, model.draw_keep(jax.random.key(0)))
    for modality in MODALITIES:
        assert 0 < kept[True][modality] < 0.5 * kept[False][modality]
        assert 0 < kept["bfloat16"][modality] < 0.9 * kept[False][modality]


def test_the_command_prints_and_writes_nothing(tmp_path, capsys):
    config = small()[0].copy_and_resolve_references()
    config.mode = "describe"
    run(config, tmp_path / "run")
    text = capsys.readouterr().out
    found = small()[1]
    assert f"{sum(found.parameters.parts.values()):,}" in text
    assert f"{found.memory.total() / 2**30:.3f}" in text
    assert f"{found.flops.step / 1e9:,.3f}" in text
    assert "Three towers; activations float32" in text
    assert "  towers/video/encoder/layer_*/mlp/wi/kernel [24, 32]\n" in text
    assert not list(tmp_path.iterdir())
