"""The engines that compute per-sample gradients over parameters, by name."""

from vatt_gh.harmonize.ghost import Ghost
from vatt_gh.harmonize.groups import InGroups
from vatt_gh.harmonize.interface import Engine
from vatt_gh.harmonize.vmap import Vmap

# A new engine needs one line here. Its fields are keys of config.harmonize.
ENGINES: dict[str, type[Engine]] = {"ghost": Ghost, "vmap": Vmap}
REFERENCE = "vmap"  # the direct one, which measurements compare the others with


def as_engine(engine: Engine | str) -> Engine:
    """Looks up an engine.

    Args:
        engine: an engine, or a name of ENGINES for that engine with defaults.

    Returns:
        The engine.

    Raises:
        ValueError: there is no such engine.
    """
    if isinstance(engine, str) and engine in ENGINES:
        return ENGINES[engine]()
    if isinstance(engine, InGroups):
        raise ValueError("engine is InGroups: give its engine, and group= beside it")
    if isinstance(engine, str | type) or not hasattr(engine, "run"):
        raise ValueError(
            f"engine={engine!r}: expected one of {', '.join(map(repr, ENGINES))}, or an engine, "
            "such as Ghost(sketch=64)"
        )
    return engine
