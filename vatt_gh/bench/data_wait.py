"""How long a training step waits for its data."""

import contextlib
import io
import json
import statistics
import tempfile
from pathlib import Path

from vatt_gh import config as configuration
from vatt_gh.bench.cases import DEFAULT_ENGINE, SIZES, configure
from vatt_gh.report.jsonl import METRICS
from vatt_gh.training.loop import pretrain

_STEP_COUNT = 12
_WARM = 4  # first steps, which wait for compilation and the first reads


def waiting(data_dir: Path) -> dict[str, float]:
    """Trains for some steps like `pretrain`, on records.

    Args:
        data_dir: directory of the records from HowTo100M's builder.

    Returns:
        'share' of a step and 'step_seconds'; both are medians.
    """
    config = configure(SIZES["third"](), "three_tower", DEFAULT_ENGINE)
    for key in ("colour_jitter", "audio_noise"):
        config.data[key] = configuration.default().data[key]
    config.data.data_dir = str(data_dir)
    config.data.parallel_reads = 4
    config.train.steps, config.train.warmup_steps, config.train.log_every = _STEP_COUNT, 2, 2
    config.harmonize.curriculum_steps = _STEP_COUNT
    with tempfile.TemporaryDirectory() as workdir, contextlib.redirect_stdout(io.StringIO()):
        pretrain(config, Path(workdir))
        lines = (Path(workdir) / METRICS).read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["step"] > _WARM]
    return {
        "share": statistics.median(row["data_wait_share"] for row in rows),
        "step_seconds": statistics.median(row["step_seconds"] for row in rows),
    }
