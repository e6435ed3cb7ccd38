"""Formats the keys: docs/configuration.md, and sections for the command line.

python -m vatt_gh.config > docs/configuration.md
"""

import textwrap
from collections.abc import Iterator

from vatt_gh.config import SCHEMA, SECTIONS
from vatt_gh.config.schema import Key, keys_of

_INTRODUCTION = """# Configuration

Every key with its default, as `python -m vatt_gh.main --help=SECTION` prints it, too. An experiment
file of `configs/` changes what it needs; `--config.a.b=value` on the command line changes single
keys. Keys with a star may differ between a run and its continuation. This page is made by
`python -m vatt_gh.config > docs/configuration.md`.
"""


def sections() -> dict[str, list[tuple[str, Key]]]:
    """Returns {section: its keys by dotted name}; keys without a section are under "run"."""
    found: dict[str, list[tuple[str, Key]]] = {name: [] for name in SECTIONS}
    for name, key in keys_of(SCHEMA):
        section = name.partition(".")[0] if "." in name else "run"
        found[section].append((name, key))
    return found


def to_markdown() -> str:
    """Formats docs/configuration.md."""
    lines = [_INTRODUCTION]
    for section, keys in sections().items():
        title, _ = SECTIONS[section]
        lines += [f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
        for name, key in keys:
            star = "*" if key.free else ""
            meaning = meaning_of(key).replace("|", "\\|")
            lines.append(f"| `{name}`{star} | `{_shown(key.default)}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def to_help(section: str) -> str:
    """Formats the keys of a section for the command line.

    Args:
        section: a name of `sections`, or "all".
    """
    every = sections()
    chosen = list(every.values()) if section == "all" else [every[section]]
    return "\n".join(line for keys in chosen for line in _help_lines(keys))


def _help_lines(keys: list[tuple[str, Key]]) -> Iterator[str]:
    for name, key in keys:
        yield f"--config.{name}={_shown(key.default)}"
        yield from textwrap.wrap(
            meaning_of(key), 90, initial_indent="    ", subsequent_indent="    "
        )


def _shown(value: object) -> str:
    return repr(float(f"{value:.6g}")) if isinstance(value, float) else repr(value)


def meaning_of(key: Key) -> str:
    """Tells what a key means, with its unit and values."""
    what, semicolon, rest = key.meaning.partition(";")
    unit = f" [{key.unit}]" if key.unit else ""
    parts = [f"{what}{unit}{semicolon}{rest}"]
    if key.allowed() or key.within or key.form[0]:
        parts.append(key.expected())
    return "; ".join(parts)
