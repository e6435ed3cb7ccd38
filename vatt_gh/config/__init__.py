"""The configuration: defines every key once, with its default, meaning and values.

schema      the class of keys, and the checks of single keys
model       keys of the model, its losses and harmonization
training    keys of a run, its input and its scores
finetuning  keys of fine-tuning
uses        keys of the uses of a trained model
studies     keys of the demo and the study
mixture     the entries of data.also
checks      the checks between keys
experiment  experiment files, and the keys that the command line changes
document    the keys as text

An experiment file in `configs/` starts from `default()` and overrides some keys; the command line
overrides single keys with `--config.a.b=value`. No key is defined elsewhere, and no code has its
own defaults.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from vatt_gh.config.finetuning import FINETUNE
from vatt_gh.config.model import HARMONIZE, LOSS, MODEL
from vatt_gh.config.schema import Section, defaults_of, keys_of
from vatt_gh.config.studies import DEMO, STUDY
from vatt_gh.config.training import DATA, EVAL, RUN, TRAIN
from vatt_gh.config.uses import AUDIT, EXTRACT, SEARCH

# The title and the keys of each section. Keys of the first stand alone: config.mode.
SECTIONS: dict[str, tuple[str, Section]] = {
    "run": ("The run", RUN),
    "model": ("The model", MODEL),
    "loss": ("Losses", LOSS),
    "harmonize": ("Harmonization", HARMONIZE),
    "train": ("Training", TRAIN),
    "data": ("Input", DATA),
    "eval": ("Scores", EVAL),
    "finetune": ("Fine-tuning", FINETUNE),
    "extract": ("Vectors of your own files", EXTRACT),
    "search": ("Search in them", SEARCH),
    "audit": ("The audit of a data set", AUDIT),
    "demo": ("The demo", DEMO),
    "study": ("The study", STUDY),
}
SCHEMA: Section = {
    **RUN,
    **{name: keys for name, (_, keys) in SECTIONS.items() if keys is not RUN},
}
# Keys of earlier versions, and their replacements.
RENAMED = {
    "short": "--config=FILE:short, such as --config=configs/demo.py:short",
    "short_overrides": "a form of the experiment file, see configs/demo.py",
    "harmonize.update": "--config.harmonize.update_by=same or embedding",
}
# Keys that may differ between a run and its continuation.
FREE_KEYS = frozenset(name for name, key in keys_of(SCHEMA) if key.free)
# The paper's method, in keys of config.harmonize; see docs/study.md for why it is not the default.
PAPER = {"realign": True, "curriculum": True, "signal": "cosine", "select": "threshold"}


def default() -> ConfigDict:
    """Returns the configuration with all defaults (those of the original VATT where it has one)."""
    return defaults_of(SCHEMA).lock()


def check_form(form: str, *forms: str) -> str:
    """Checks the form of an experiment, as in --config=configs/demo.py:short.

    Args:
        form: the requested form.
        forms: the existing forms.

    Returns:
        The form.

    Raises:
        ValueError: there is no such form.
    """
    if form not in forms:
        raise ValueError(f"there is no form {form!r}: expected one of {', '.join(forms)}")
    return form


def harmonizes(harmonize: ConfigDict) -> bool:
    """Tells whether samples are realigned, weighted by the curriculum, or both."""
    return harmonize.realign or harmonize.curriculum


def compares_gradients(harmonize: ConfigDict) -> bool:
    """Tells whether a step needs per-sample gradients."""
    return harmonize.realign or (harmonize.curriculum and harmonize.signal == "cosine")


def drops_per_loss(harmonize: ConfigDict) -> bool:
    """Tells whether each loss drops a share of its samples by itself."""
    return harmonize.curriculum and harmonize.signal in ("loss", "random")


def engines_with(name: str) -> list[str]:
    """Lists the engines that use a key of config.harmonize: those with a field of its name."""
    engines = HARMONIZE["engine"].table()
    return [
        engine
        for engine, kind in engines.items()
        if name in {field.name for field in dataclasses.fields(kind)}
    ]


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Flattens a configuration to {"a.b": value}, with values that JSON preserves."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat
