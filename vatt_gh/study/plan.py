"""The runs of a study: every model, method, kind and share of planted noise, and seed."""

import dataclasses
import fnmatch
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vatt_gh.config import PAPER
from vatt_gh.errors import UserError

# Settings of config.harmonize by method; the first four are the paper's, the rest are ours. The
# random drops are a baseline: they show the effect of dropping as many by itself. A function gets
# the number of steps.
_REALIGNED = {"realign": True, "curriculum": False}
_CURRICULUM = {**PAPER, "realign": False}
_BY_SHARE = {**_CURRICULUM, "select": "share"}
_LATE = {"curriculum_begin": lambda n: n // 4, "curriculum_steps": lambda n: n - n // 4}
_PER_LOSS = {"realign": False, "curriculum": True, "signal": "loss", "select": "share"}
METHODS: dict[str, dict[str, object]] = {
    "plain": {"realign": False, "curriculum": False},
    "realignment": _REALIGNED,
    "curriculum": _CURRICULUM,
    "both": PAPER,
    "mild": {**PAPER, "gamma_start": -1.0, "gamma_end": -0.3},
    "soft": {**_CURRICULUM, "soft_temperature": 0.1},
    "share": _BY_SHARE,
    "share_late": {**_BY_SHARE, **_LATE},
    "equal_lengths": {**_REALIGNED, "equal_lengths": True},
    "features": {**_REALIGNED, "cosine_over": "features"},
    "last_block": {**_REALIGNED, "cosine_over": "last_block"},
    "loss": _PER_LOSS,
    "loss_half": {**_PER_LOSS, "share_end": 0.5},
    "random": {**_PER_LOSS, "signal": "random"},
    "random_half": {**_PER_LOSS, "signal": "random", "share_end": 0.5},
    "loss_realigned": {**_PER_LOSS, "realign": True},
    "group": {**_REALIGNED, "group": 4},
    "anchor": {**_REALIGNED, "attribution": "anchor", "update_by": "embedding"},
}


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A training corpus.

    Attributes:
        caption_noise: share of captions that describe another scene.
        sound_noise: share of scenes with the sound of another scene.
    """

    caption_noise: float
    sound_noise: float

    @property
    def name(self) -> str:
        """A name such as captions25, sounds50, or clean."""
        shares = {kind: share for kind, share in self.planted.items() if share}
        return "-".join(f"{kind}{100 * share:.10g}" for kind, share in shares.items()) or "clean"

    @property
    def planted(self) -> dict[str, float]:
        """The shares by what is wrong, 'captions' and 'sounds'."""
        return {"captions": self.caption_noise, "sounds": self.sound_noise}


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of a study.

    Attributes:
        model: three_tower or shared.
        corpus: its training corpus.
        method: a key of METHODS.
        seed: seed for parameters, batches and dropout, but not for the corpus.
    """

    model: str
    corpus: Corpus
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its work directory, such as shared-captions25-both-seed3."""
        return f"{self.model}-{self.corpus.name}-{self.method}-seed{self.seed}"

    def changes(self, steps: int) -> dict[str, object]:
        """Returns its changes to the study's configuration, of so many steps, as {"a.b": value}."""
        chosen = METHODS[self.method].items()
        return {
            "seed": self.seed,
            "model.kind": self.model,
            **{f"harmonize.{key}": x(steps) if callable(x) else x for key, x in chosen},
            "demo.caption_noise": self.corpus.caption_noise,
            "demo.sound_noise": self.corpus.sound_noise,
        }


def run_of(name: str, stored: Mapping[str, Any]) -> Run:
    """Finds the run of a work directory.

    Args:
        name: name of the directory, see `Run.name`.
        stored: its config.json, {"a.b": value}.

    Returns:
        The run.
    """
    corpus = Corpus(stored["demo.caption_noise"], stored["demo.sound_noise"])
    return Run(stored["model.kind"], corpus, name.split("-")[-2], stored["seed"])


def in_order(run: Run) -> tuple[Any, ...]:
    """Makes the sort key of runs: a method's seeds stay together, and a corpus's methods."""
    noise = (run.corpus.sound_noise, run.corpus.caption_noise)
    return (run.model != "three_tower", noise, list(METHODS).index(run.method), run.seed)


def runs_of(study: ConfigDict) -> list[Run]:
    """Lists all runs that a configuration asks for.

    Args:
        study: section of the configuration.

    Returns:
        The runs, seed by seed, so that an interrupted study has all methods for some seeds.

    Raises:
        UserError: no run matches `study.only`.
    """
    every = [
        Run(model, corpus, method, seed)
        for seed, model, corpus, method in itertools.product(
            study.seeds, study.models, _corpora(study.noise), study.methods
        )
    ]
    patterns = [pattern.strip() for pattern in study.only.split(",") if pattern.strip()]
    runs = [r for r in every if not patterns or any(fnmatch.fnmatch(r.name, p) for p in patterns)]
    if not runs:
        raise UserError(
            "No run of the study has such a name.",
            where=f"config.study.only = {study.only!r}",
            expected=f"patterns such as {every[0].name!r} or 'shared-*-seed0', between commas",
            todo="mend the pattern, or leave it empty for all runs",
        )
    return runs


def _corpora(noise: Sequence[float]) -> list[Corpus]:
    """Lists corpora with wrong captions, and others with wrong sounds, for every share."""
    found = [Corpus(share, 0.0) for share in noise] + [Corpus(0.0, share) for share in noise]
    return list(dict.fromkeys(found))
