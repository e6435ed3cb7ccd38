"""The demo, station by station: corpus, records, pre-training, evaluation, report.

Plain VATT is trained first, in WORKDIR/plain, to compare it with harmonized training from the same
start on the same batches.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from vatt_gh.config import harmonizes
from vatt_gh.data.sources import Build, find_or_build
from vatt_gh.demo.corpus import CorpusSpec, render_corpus
from vatt_gh.demo.planted import aligned_of, planted_of
from vatt_gh.evaluation.scoring import evaluate_workdir, scorer
from vatt_gh.locks import locked
from vatt_gh.report.run import Aligned

# (config, workdir, scoring=see `evaluation.scoring.scorer`): trains a model in the work directory.
Train = Callable[..., object]
_HELDOUT = "heldout"
_HELDOUT_SEED = 1_000_003  # far from the seeds that users choose


def run_demo(config: ConfigDict, workdir: Path, build: Build, train: Train) -> None:
    """Runs every station; does not repeat what an interrupted demo has finished.

    Args:
        config: the whole configuration; its data directories are set here.
        workdir: directory for everything.
        build: builds records, see `find_or_build`.
        train: trains a model.

    Raises:
        UserError: see the stations.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    config = config.copy_and_resolve_references()
    demo, seed = config.demo, config.seed
    noise = {"caption_noise": demo.caption_noise, "sound_noise": demo.sound_noise}
    with locked(workdir / "corpora.lock"):  # one process prepares; the others find it done
        prepare(config, workdir, "train", build, videos=demo.videos, seed=seed, **noise)
        prepare_heldout(config, workdir, seed, build)
    use_corpus(config, workdir, "train")
    aligned = aligned_of(str(workdir / "corpus" / "train" / "alignment.jsonl"))
    plain = None
    if harmonizes(config.harmonize):
        plain = workdir / "plain"
        _train_and_score("plain VATT", _without_harmonization(config), plain, train, aligned, None)
    _train_and_score("as configured", config, workdir, train, aligned, plain)


def _train_and_score(
    name: str,
    config: ConfigDict,
    workdir: Path,
    train: Train,
    aligned: Aligned | None,
    plain: Path | None,
) -> None:
    with station(f"pre-training: {name}"):
        train(config, workdir, scoring=scorer(config, workdir, planted_of))
    with station(f"evaluating: {name}"):
        evaluate_workdir(
            config, workdir, known=planted_of(config.eval), aligned=aligned, plain=plain
        )


def _without_harmonization(config: ConfigDict) -> ConfigDict:
    """Configures plain VATT, with the same initial parameters and batches."""
    config = config.copy_and_resolve_references()
    config.harmonize.realign = config.harmonize.curriculum = False
    return config


def prepare(
    config: ConfigDict,
    workdir: Path,
    name: str,
    build: Build,
    *,
    videos: int,
    seed: int,
    caption_noise: float,
    sound_noise: float,
) -> None:
    """Renders a corpus and builds its records, unless they exist.

    Args:
        config: the whole configuration.
        workdir: gets corpus/NAME and records/NAME.
        name: name of the corpus.
        build: builds records, see `find_or_build`.
        videos, seed, caption_noise, sound_noise: see CorpusSpec.

    Raises:
        UserError: another corpus exists there, the disk is full, or the build fails.
    """
    corpus = workdir / "corpus" / name
    given = {
        "seed": seed,
        "videos": videos,
        "caption_noise": caption_noise,
        "sound_noise": sound_noise,
    }
    others = [field.name for field in dataclasses.fields(CorpusSpec) if field.name not in given]
    spec = CorpusSpec(**given, **{name: config.demo[name] for name in others})
    with station(f"rendering {videos} videos ({name})"):
        render_corpus(corpus, spec, workers=config.data.build_workers)
    with station(f"building records ({name})"):
        config = config.copy_and_resolve_references()
        config.data.manual_dir = str(corpus)
        config.data.data_dir = str(workdir / "records" / name)
        find_or_build(config.data, build)


def prepare_heldout(config: ConfigDict, workdir: Path, seed: int, build: Build) -> None:
    """Prepares the corpus for evaluation: another seed, with nothing planted wrong."""
    seed += _HELDOUT_SEED
    noise = {"caption_noise": 0.0, "sound_noise": 0.0}
    videos = config.demo.heldout_videos
    prepare(config, workdir, _HELDOUT, build, videos=videos, seed=seed, **noise)


def use_corpus(config: ConfigDict, workdir: Path, name: str) -> None:
    """Sets the data directories: trains on a prepared corpus, evaluates on the held-out one."""
    config.data.data_dir = str(workdir / "records" / name)
    config.data.manual_dir = str(workdir / "corpus" / name)
    config.eval.data_dir = str(workdir / "records" / _HELDOUT)
    config.eval.truth = str(workdir / "corpus" / _HELDOUT / "alignment.jsonl")


@contextlib.contextmanager
def station(what: str) -> Iterator[None]:
    """Prints what is being done and, if it succeeds, how long it took."""
    print(f"== {what}", flush=True)
    start = time.perf_counter()
    yield
    print(f"   {time.perf_counter() - start:.0f} s", flush=True)
