"""The results of a run as a file for programs and one for readers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatt_gh.files import write_whole
from vatt_gh.report.page import REFERENCES, flatten_scores

PROTOCOL = "protocol"  # in the results: how they were taken, in words
# Scores of a study by (group, name) in results.json, and their labels in tables and pictures.
SCORE_LABELS = {
    ("retrieval", "r5"): "R@5",
    ("retrieval", "r10"): "R@10",
    ("retrieval", "median_rank"): "median rank",
    ("probe", "video_accuracy"): "video probe",
    ("probe", "audio_accuracy"): "audio probe",
}


def write_results(workdir: Path, name: str, results: Mapping[str, Any]) -> None:
    """Writes WORKDIR/NAME.json and, for readers, WORKDIR/NAME.md.

    Args:
        workdir: work directory of the run.
        name: name of the files, such as 'results'.
        results: scores {"value", references} in groups, counts, and PROTOCOL.
    """
    write_whole(Path(workdir) / f"{name}.json", json.dumps(results, indent=1) + "\n")
    write_whole(Path(workdir) / f"{name}.md", to_markdown(results))


def to_markdown(results: Mapping[str, Any]) -> str:
    """Formats results: how they were taken, counts, and a table of scores with references."""
    protocol = results.get(PROTOCOL, {})
    facts = [f"- {key.replace('_', ' ')}: {said}" for key, said in protocol.items()]
    scores = flatten_scores({k: v for k, v in results.items() if isinstance(v, Mapping)})
    numbers = {k: v for k, v in results.items() if isinstance(v, int)}
    facts += [f"- {key.replace('_', ' ')}: {count:,}" for key, count in numbers.items()]
    known = [r for r in REFERENCES if any(getattr(s, r) is not None for s in scores)]
    lines = [["score", "value", *known], ["---"] * (2 + len(known))]
    for score in scores:
        values = (getattr(score, name) for name in ("value", *known))
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        lines.append([f"{score.group} {score.measure}".strip(), *cells])
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    notes = sorted({f"- published: {source}" for source in _sources(results)})
    return "\n".join(["# Scores", "", *facts, *notes, "", *table]) + "\n"


def _sources(results: Mapping[str, Any]) -> set[str]:
    """Collects the sources of the published scores."""
    groups = [group for group in results.values() if isinstance(group, Mapping)]
    scores = [s for group in groups for s in group.values() if isinstance(s, Mapping)]
    return {score["source"] for score in scores if "source" in score}
