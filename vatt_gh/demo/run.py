"""The demo, station by station: corpus, records, pre-training, evaluation, report.

Plain VATT is trained first, in WORKDIR/plain, and stands beside what harmonization makes of the
same start and batches.
"""

import time
from pathlib import Path

from ml_collections import ConfigDict

from vatt_gh.config import harmonizes
from vatt_gh.data.sources import find_or_build
from vatt_gh.demo.corpus import CorpusSpec, render_corpus
from vatt_gh.demo.truth import Truth
from vatt_gh.report.run import Aligned
from vatt_gh.training.loop import pretrain
from vatt_gh.training.scoring import evaluate_workdir

HELDOUT_SEED = 1_000_003  # far from the seeds that people choose


def run_demo(config: ConfigDict, workdir: Path) -> None:
    """Runs every station; what an interrupted demo has finished is not done again.

    Args:
        config: the whole configuration; its data directories are set here.
        workdir: takes everything.

    Raises:
        UserError: see the stations.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    config = config.copy_and_resolve_references()
    demo = config.demo
    parts = {
        "train": (demo.videos, config.seed, demo.caption_noise, demo.sound_noise),
        "heldout": (demo.heldout_videos, config.seed + HELDOUT_SEED, 0.0, 0.0),
    }
    for name, (videos, seed, caption_noise, sound_noise) in parts.items():
        corpus = workdir / "corpus" / name
        with _Station(f"rendering {videos} videos ({name})"):
            spec = CorpusSpec(
                seed=seed,
                videos=videos,
                caption_noise=caption_noise,
                sound_noise=sound_noise,
                width=demo.width,
                height=demo.height,
                fps=demo.fps,
                audio_rate=demo.audio_rate,
                min_seconds=demo.min_seconds,
                max_seconds=demo.max_seconds,
                min_scene_seconds=demo.min_scene_seconds,
                max_scene_seconds=demo.max_scene_seconds,
            )
            render_corpus(corpus, spec, workers=config.data.build_workers)
        with _Station(f"building records ({name})"):
            config.data.manual_dir = str(corpus)
            config.data.data_dir = str(workdir / "records" / name)
            find_or_build(config)
    config.data.data_dir = str(workdir / "records" / "train")
    config.data.manual_dir = str(workdir / "corpus" / "train")
    config.eval.data_dir = str(workdir / "records" / "heldout")
    config.eval.truth = str(workdir / "corpus" / "heldout" / "alignment.jsonl")
    truth = Truth.load(workdir / "corpus" / "train" / "alignment.jsonl")

    def aligned(video: str, start: float, end: float) -> tuple[bool, bool]:
        window = truth.window(video, start, end)
        return window.sound_aligned, window.caption_aligned

    plain = None
    if harmonizes(config):
        plain = workdir / "plain"
        _train_and_score("plain VATT", _without_harmonization(config), plain, aligned, None)
    _train_and_score("as configured", config, workdir, aligned, plain)


def _train_and_score(
    name: str, config: ConfigDict, workdir: Path, aligned: Aligned, plain: Path | None
) -> None:
    with _Station(f"pre-training: {name}"):
        pretrain(config, workdir)
    with _Station(f"evaluating: {name}"):
        evaluate_workdir(config, workdir, aligned=aligned, plain=plain)


def _without_harmonization(config: ConfigDict) -> ConfigDict:
    """Plain VATT, from the same drawn parameters and on the same batches."""
    config = config.copy_and_resolve_references()
    config.harmonize.realign = config.harmonize.curriculum = False
    return config


class _Station:
    """Says what is being done, and how long it took."""

    def __init__(self, what: str):
        self._what = what

    def __enter__(self) -> None:
        print(f"== {self._what}", flush=True)
        self._start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            print(f"   {time.perf_counter() - self._start:.0f} s", flush=True)
