"""A made-up entry for each table: one line is all that a run needs to use it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# In a separate process: tables are read when the package is imported.
PROGRAM = """
import dataclasses, io, os, sys
from typing import ClassVar
from pathlib import Path

from vatt_gh.loss_terms import LOSS_TERMS, LossTerm

LOSS_TERMS["audio_video"] = LossTerm("audio", "video", "av", 0.0)

from vatt_gh.harmonize import ENGINES, Vmap

@dataclasses.dataclass(frozen=True)
class Counting:
    group: int = 1  # a key of config.harmonize
    token_multiple: ClassVar[int] = 1
    calls = []

    def run(self, *args, **options):
        self.calls.append(self.group)
        return Vmap().run(*args, **options)

    def held_bytes(self, *args):
        return 3 * 2**30

ENGINES["counting"] = Counting

from flax import linen as nn
from vatt_gh.models.text_towers import TEXT_TOWERS

class Bag(nn.Module):
    words: int
    width: int

    @nn.compact
    def __call__(self, ids, train):
        y = nn.Embed(self.words, self.width)(ids)
        return y.mean(axis=-2), y

TEXT_TOWERS["bag"] = lambda model, words: Bag(words, model.text.d_model)

from tfds_builders.sets import DATA_SETS, DataSet
from vatt_gh.media import library

DATA_SETS["mine"] = DataSet("My videos.", ("train",), library.LAYOUT, library.scan)

import numpy as np
from vatt_gh.media.storages import STORAGES, Storage

def saved(frames, audio, form):
    file = io.BytesIO()
    np.save(file, np.stack(frames))
    return {"pixels": file.getvalue(), "audio": audio}

def loaded(values, numbers, samples):
    pixels = np.load(io.BytesIO(next(values("pixels"))))
    audio = np.frombuffer(next(values("audio")), np.int16)
    return ((k, pixels[k]) for k in numbers), audio[samples.start : samples.stop]

STORAGES["pixels"] = Storage(
    {"pixels": "bytes", "audio": "samples"}, lambda scaler, form: scaler.rgb, saved, loaded
)

from vatt_gh.evaluation.evaluators import EVALUATORS, evaluate
from vatt_gh.evaluation.held_out import HeldOut

class Longest:
    name = "longest"
    count_key = "longest_clips"

    def wants(self, held_out):
        return True

    def run(self, weights, held_out):
        captions = held_out.clips[weights].captions
        return len(captions), {"words": {"value": max(len(c.split()) for c in captions)}}

EVALUATORS[Longest.name] = Longest()

from small import small_batch, small_config, WORDS, RATE
from vatt_gh.training.construct import optimizer_of
import jax
from vatt_gh.batch import MODALITIES
from vatt_gh.config.checks import validate
from vatt_gh.config.document import to_markdown
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.records import open_source
from vatt_gh.data.sources import find_or_build, word_counts
from vatt_gh.data.text import Tokenizer, build_vocabulary
from vatt_gh.describe.summary import describe
from vatt_gh.training.construct import model_of
from vatt_gh.training.step import create_state, train_step
from tfds_builders.build import build_for

if __name__ == "__main__":
    corpus, records = sys.argv[1:]
    config = small_config(**{
        "loss.audio_video_weight": 0.5, "model.head.kind": "joint", "model.text.kind": "bag",
        "harmonize.engine": "counting", "data.builder": "mine", "data.manual_dir": corpus,
        "data.data_dir": records, "data.build_short_side": 32, "data.build_audio_rate": 16_000,
        "data.build_segment_seconds": 4.0, "data.build_storage": "pixels",
    })
    validate(config, devices=1, hosts=1)
    for name in ("counting", "bag", "loss.audio_video_weight", "mine", "pixels"):
        assert name in to_markdown(), name
    described = describe(config, devices=1)
    assert "bag, without layers of attention" in described
    assert f"{3 * config.train.batch_size:,.3f}" in described  # GiB of the engine
    model = model_of(config, words=WORDS, audio_rate=RATE)
    batch, optimizer = small_batch(config), optimizer_of(config.train)
    sample = {m: batch[m][0] for m in MODALITIES}
    state = create_state(model, optimizer, sample, seed=0)
    _, output = jax.jit(lambda s, b: train_step(
        s, b, model=model, optimizer=optimizer, config=config, axis_name=None
    ))(state, batch)
    assert np.isfinite(output.metrics["loss_av"]) and output.metrics["loss_av"] > 0
    assert set(Counting.calls) == {1}
    source = open_source(find_or_build(config.data, build_for))
    words = build_vocabulary(word_counts([source]), WORDS)
    assert source.form.storage == "pixels"
    clips = list(captioned_clips(source, Tokenizer(words, 6), config.data, size=4))
    assert all(clip["video"].std() > 0.01 for clip in clips)
    weights = {"trained": (state.params, state.statistics)}
    results = evaluate(HeldOut(model, weights, source, words, config))
    assert results["longest"]["words"]["value"] > 2
    assert results["longest_clips"] == results["clips"]
    print("all six")
"""


def test_a_made_up_one_of_each_is_used(small_corpus, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    answer = subprocess.run(
        [sys.executable, str(program), str(small_corpus), str(tmp_path / "records")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert answer.stdout.endswith("all six\n")
