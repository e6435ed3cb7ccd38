"""The configuration: every key once, with its default, meaning and values.

schema    what a key is, and the checks of single keys
model     keys of the model, its losses and harmonization
training  keys of a run, its input and its scores
studies   keys of the demo and the study
checks    the checks between keys
document  the keys as text

An experiment file in `configs/` starts from `default()` and overrides what it needs; the command
line overrides single keys with `--config.a.b=value`. No key exists anywhere else, and no code
falls back to a default of its own.
"""

from typing import Any

from ml_collections import ConfigDict

from vatt_gh.config.model import HARMONIZE, LOSS, MODEL
from vatt_gh.config.schema import Section, defaults_of, keys_of
from vatt_gh.config.studies import DEMO, STUDY
from vatt_gh.config.training import DATA, EVAL, RUN, TRAIN

SCHEMA: Section = {
    **RUN,
    "model": MODEL,
    "loss": LOSS,
    "harmonize": HARMONIZE,
    "train": TRAIN,
    "data": DATA,
    "eval": EVAL,
    "demo": DEMO,
    "study": STUDY,
}
# Keys of earlier versions, and what says the same now.
RENAMED = {
    "short": "--config=FILE:short, such as --config=configs/demo.py:short",
    "short_overrides": "a form of the experiment file, see configs/demo.py",
    "harmonize.update": "--config.harmonize.update_by=same or embedding",
}
# May differ between a run and its continuation.
FREE_KEYS = frozenset(name for name, key in keys_of(SCHEMA) if key.free)
# The paper's method, in keys of config.harmonize; see docs/study.md for why it is not the default.
PAPER = {"realign": True, "curriculum": True, "signal": "cosine", "select": "threshold"}


def default() -> ConfigDict:
    """Returns the configuration with every key at its default (original VATT where it has one)."""
    return defaults_of(SCHEMA).lock()


def check_form(form: str, *forms: str) -> str:
    """The form of an experiment, as in --config=configs/demo.py:short.

    Args:
        form: that is asked for.
        forms: that there are.

    Returns:
        The form.

    Raises:
        ValueError: there is no such form.
    """
    if form not in forms:
        raise ValueError(f"there is no form {form!r}: expected one of {', '.join(forms)}")
    return form


def harmonizes(config: ConfigDict) -> bool:
    """Whether samples are realigned, weighed by the curriculum, or both."""
    return config.harmonize.realign or config.harmonize.curriculum


def compares_gradients(config: ConfigDict) -> bool:
    """Whether a step needs the gradients of single samples."""
    harmonize = config.harmonize
    return harmonize.realign or (harmonize.curriculum and harmonize.signal == "cosine")


def flatten(config: ConfigDict) -> dict[str, Any]:
    """{"a.b": value} of a configuration, in values that JSON keeps."""
    flat: dict[str, Any] = {}

    def visit(prefix: str, node: ConfigDict) -> None:
        for key, value in node.items():
            name = f"{prefix}{key}"
            if isinstance(value, ConfigDict):
                visit(f"{name}.", value)
            else:
                flat[name] = list(value) if isinstance(value, tuple) else value

    visit("", config)
    return flat
