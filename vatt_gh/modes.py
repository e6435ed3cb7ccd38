"""What each value of config.mode does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from vatt_gh.config.checks import validate
from vatt_gh.paths import local_path, with_local_paths

if TYPE_CHECKING:  # It imports TensorFlow, which --help does not need.
    from vatt_gh.data.sources import Build


def run(config: ConfigDict, workdir: Path) -> None:
    """Runs the mode `config.mode`.

    Args:
        config: the whole configuration.
        workdir: work directory of the run.

    Raises:
        UserError: a problem that the user can fix.
    """
    import jax
    import tensorflow as tf

    from tfds_builders.build import build_for

    # The hosts of a pod would wait for hours while one of them builds.
    build = build_for if jax.process_count() == 1 else None
    config, workdir = with_local_paths(config), Path(local_path(str(workdir), "--workdir"))
    # TensorFlow only feeds the input; it must not take the accelerator's memory.
    tf.config.set_visible_devices([], "GPU")
    if config.mode != "finetune":  # which knows its model later
        validate(config, devices=jax.device_count(), hosts=jax.process_count())
    RUNS[config.mode](config, workdir, build)


def _pretrain(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    import jax

    from vatt_gh.demo.planted import planted_of
    from vatt_gh.evaluation.scoring import scorer
    from vatt_gh.report.run import write_report
    from vatt_gh.training.loop import pretrain

    pretrain(config, workdir, build=build, scoring=scorer(config, workdir, planted_of))
    if jax.process_index() == 0:
        print(f"Report: {write_report(workdir)}")


def _evaluate(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    from vatt_gh.demo.planted import planted_of
    from vatt_gh.evaluation.following import follow
    from vatt_gh.evaluation.scoring import evaluate_workdir

    known = planted_of(config.eval)
    if config.eval.follow:
        follow(config, workdir, build=build, known=known)
    evaluate_workdir(config, workdir, build=build, known=known)


def _finetune(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    from vatt_gh.finetuning.run import finetune

    finetune(config, workdir, build=build)


def _extract(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    from vatt_gh.evaluation.extract import extract

    extract(config, workdir)


def _search(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    from vatt_gh.evaluation.search import search

    search(config, workdir)


def _audit(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    from vatt_gh.audit.run import audit
    from vatt_gh.demo.planted import aligned_of

    audit(config, workdir, aligned_of(config.audit.truth))


def _describe(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    import jax

    from vatt_gh.describe.summary import describe

    print(describe(config, devices=jax.device_count()))


def _demo(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    # Also in a pod: one process renders and builds for all.
    from tfds_builders.build import build_for
    from vatt_gh.demo.run import run_demo
    from vatt_gh.training.loop import pretrain

    run_demo(config, workdir, build_for, pretrain)


def _study(config: ConfigDict, workdir: Path, build: Build | None) -> None:
    # As for the demo.
    from tfds_builders.build import build_for
    from vatt_gh.study.run import run_study

    run_study(config, workdir, build_for)


RUNS: dict[str, Callable[[ConfigDict, Path, Build | None], None]] = {
    "pretrain": _pretrain,
    "evaluate": _evaluate,
    "finetune": _finetune,
    "extract": _extract,
    "search": _search,
    "audit": _audit,
    "describe": _describe,
    "demo": _demo,
    "study": _study,
}
