"""A run so small that tests can make several: settings, corpus, and expected results."""

import contextlib
import dataclasses
import fcntl
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from media_files import small_spec
from ml_collections import ConfigDict

from vatt_gh import config as configuration
from vatt_gh.config import flatten
from vatt_gh.demo.corpus import render_corpus

ROOT = Path(__file__).parents[1]
# Enough to be killed in the middle, and odd, unlike steps with output every other step.
STEPS = 13
STOP = 6  # end of runs that are only compared
SIZE = {"layers": 1, "d_model": 16, "d_ff": 32, "heads": 2, "d_kv": 8}
OVERRIDES = {
    **{f"model.{t}.{k}": v for t in ("video", "audio", "text") for k, v in SIZE.items()},
    "model.video.patch": (4, 8, 8),
    "model.video.buckets": (2, 2, 2),
    "model.audio.patch": 128,
    "model.audio.buckets": 50,
    "model.text.d_embedding": 16,
    "model.head.d_video_audio": 16,
    "model.head.d_video_text": 16,
    "data.frames": 8,
    "data.size": 16,
    "data.audio_samples": 6400,
    "data.candidates": 2,
    "data.words": 8,
    "data.vocabulary_size": 200,
    "data.min_area": 0.5,
    "data.build_fps": 10.0,
    "data.build_short_side": 24,
    "data.build_audio_rate": 8000,
    "data.build_workers": 1,
    "data.parallel_reads": 2,
    "train.steps": STEPS,
    "train.batch_size": 8,
    "train.warmup_steps": 2,
    "train.learning_rates": (1e-2, 1e-3),
    "train.log_every": 2,
    "train.log_samples_every": 1,
    "train.checkpoint_every": 2,
    "harmonize.realign": True,  # else no per-sample gradients would be needed
    "harmonize.curriculum_steps": STEPS,
}
# default() values in place of those of configs/howto100m.py: one program for all.
DEFAULTS = {"model.dtype": "float32", "model.remat": False}
MEASURED = ("step_seconds", "samples_per_second", "data_wait_share", "goodput")  # vary between runs


@dataclasses.dataclass(frozen=True)
class Tiny:
    """corpus: videos and captions; records: the data_dir built from them; programs: compiled."""

    corpus: Path
    records: Path
    programs: Path

    def config(self, experiment: str | None = None, **changes: Any) -> ConfigDict:
        """The defaults, or an experiment of configs/, at tiny size; changes are {"a.b": value}."""
        config = load_experiment(experiment) if experiment else configuration.default()
        paths = {"data.manual_dir": str(self.corpus), "data.data_dir": str(self.records)}
        config.update_from_flattened_dict({**OVERRIDES, **paths, **changes})
        return config

    @property
    def environment(self) -> dict[str, str]:
        """For subprocesses, to find the package and this process's compiled programs."""
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": str(self.programs),
        }

    @property
    def pod_environment(self) -> dict[str, str]:
        """For processes of a pod, which compile alike and get their devices from the launcher.

        With compiled programs at hand, only the first process would find its own; it gives up
        waiting for the others after 30 s.
        """
        others = ("JAX_COMPILATION_CACHE_DIR", "JAX_NUM_CPU_DEVICES")
        return {name: text for name, text in self.environment.items() if name not in others}


def session_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder shared by all processes of a session."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process of the session at a time; the second one finds the first one's results."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def prepared(session: Path) -> Tiny:
    """Renders and builds once per session; `session` comes from `session_folder`."""
    folder = session / "tiny"
    # Compiling the step takes twenty times as long as running it: all later runs of the session,
    # in this process or in another, load the program from here.
    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
    compilation_cache.reset_cache()
    tiny = Tiny(folder / "corpus", folder / "records", folder / "programs")
    with _alone(session / "tiny.lock"):
        if not tiny.records.exists():
            _prepare(tiny)
    return tiny


def _prepare(tiny: Tiny) -> None:
    from tfds_builders.build import build_for

    spec = small_spec(seed=5, width=48, height=36, audio_rate=8000, max_seconds=12.0)
    render_corpus(tiny.corpus, spec, workers=1)
    build_for(tiny.config().data)


@functools.cache
def uninterrupted(session: Path) -> tuple[Path, Any]:
    """Work directory and state of an undisturbed run until STOP; not to be changed."""
    from vatt_gh.training.loop import pretrain

    workdir, config = session / "uninterrupted", prepared(session).config()
    with _alone(session / "uninterrupted.lock"):
        # A second process restores the first one's final state.
        return workdir, jax.device_get(pretrain(config, workdir, stop_after=STOP))


def load_experiment(name: str) -> ConfigDict:
    """The configuration of a file in configs/; NAME, or NAME:FORM."""
    name, *form = name.split(":")
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*form)


def flags_of(values: dict[str, Any]) -> list[str]:
    """Converts {"a.b": value} to command-line flags."""
    return [f"--config.{key}={value}" for key, value in values.items()]


def run_in_two(config: ConfigDict, workdir: Path) -> str:
    """Runs a configuration in two processes of one device each; returns what they print."""
    given = flatten(load_experiment("howto100m"))
    changed = {k: v for k, v in flatten(config).items() if v != given[k]}
    flags = flags_of({k: tuple(v) if isinstance(v, list) else v for k, v in changed.items()})
    options = ["--processes=2", "--devices=1", "--grace=1", "--", "--config=configs/howto100m.py"]
    ended = subprocess.run(
        [sys.executable, "launch/local_pod.py", *options, f"--workdir={workdir}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def rows_of(path: Path, *, without: tuple[str, ...] = MEASURED) -> list[dict[str, Any]]:
    """The rows of a JSONL file, without measured times."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in without} for row in rows]


def checkpoints_of(workdir: Path) -> list[int]:
    """The steps of a work directory's finished checkpoints."""
    names = (path.name for path in (workdir / "checkpoints").iterdir())
    return sorted(int(name) for name in names if name.isdigit())


def assert_same_state(actual: Any, expected: Any) -> None:
    """Asserts bitwise equality: parameters, statistics, optimizer, step, random key."""
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(jax.device_get(actual)),
        jax.tree_util.tree_leaves_with_path(jax.device_get(expected)),
        strict=True,
    )
    for (path, mine), (other, theirs) in pairs:
        assert path == other
        np.testing.assert_array_equal(mine, theirs, err_msg=jax.tree_util.keystr(path))
