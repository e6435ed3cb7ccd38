"""Made-up runs for the pictures: outputs of a run from a seeded generator."""

from typing import Any

import numpy as np

from vatt_gh.report.examples import RetrievalExample


def make_rows(number: int, seed: int = 0, every: int = 10) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl for a run with falling losses and increasingly aligned gradients."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(number):
        done = index / max(1, number - 1)
        cosine = np.clip(rng.normal(-0.1 + 0.45 * done, 0.3, size=64), -1, 1)
        gamma = -0.3 + 0.3 * min(1.0, 2 * done)
        loss_va, loss_vt = (5 * np.exp(-2 * done) + rng.normal(1, 0.2) for _ in range(2))
        rows.append(
            {
                "step": (index + 1) * every,
                "loss": float(loss_va + loss_vt + 0.3) / 2,
                "loss_va": float(loss_va),
                "loss_vt": float(loss_vt + 0.3),
                "conflict_rate": float((cosine < 0).mean()),
                "kept_share": float((cosine > gamma).mean()),
                "effective_batch": float((cosine > gamma).sum()),
                "sample_norm_before": 0.1 * (1.2 - done),
                "sample_norm_after": 0.1 * (1.4 - 1.1 * done),
                "gamma": gamma,
                "cosine_histogram": np.histogram(cosine, 40, (-1, 1))[0].tolist(),
            }
        )
    return rows


def make_groups(number: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Cosines of samples that are right, half wrong and wrong; one in ten has none."""
    rng = np.random.default_rng(seed)
    means = {"all aligned": 0.4, "caption wrong": 0.05, "sound wrong": -0.05, "both wrong": -0.3}
    groups = {}
    for name, mean in means.items():
        cosine = np.clip(rng.normal(mean, 0.2, size=number), -1, 1)
        cosine[::10] = np.nan
        groups[name] = cosine
    return groups


def make_clip(seed: int, frames: int = 8, height: int = 64, width: int = 64) -> np.ndarray:
    """A disc that crosses a plain background, uint8 [frames, height, width, 3]."""
    rng = np.random.default_rng(seed)
    ground, disc = rng.integers(0, 256, size=(2, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    clip = np.empty((frames, height, width, 3), dtype=np.uint8)
    for frame in range(frames):
        centre = (frame + 0.5) * width / frames
        inside = (x - centre) ** 2 + (y - height / 2) ** 2 < (height / 5) ** 2
        clip[frame] = np.where(inside[..., None], disc, ground)
    return clip


def make_examples(queries: int, clips: int = 5) -> list[RetrievalExample]:
    """Queries whose true clip ranks first, second, and so on, the last ones not shown."""
    return [
        RetrievalExample(
            query=f"now the red disc number {query} moves slowly to the right",
            rank=query + 1,
            clips=[make_clip(100 * query + place) for place in range(clips)],
            correct=[place == query for place in range(clips)],
        )
        for query in range(queries)
    ]
