"""The study: does harmonization help, at which noise, in which model; many demos and one table.

    python -m vatt_gh.main --config=configs/study.py --workdir=work/study

Hardware: two CPU cores; several machines may share the work directory. `--config.study.only=...`
runs a part, `--config.short=True` visits every station with next to nothing.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vatt_gh.config import PAPER


def get_config() -> ConfigDict:
    """Returns the configuration."""
    config = runpy.run_path(str(Path(__file__).with_name("demo.py")))["get_config"]()
    config.mode = "study"
    # The demo's corpus and training, halved and shortened: many runs count for more than long ones.
    config.demo.videos, config.data.windows_per_segment = 600, 24
    config.train.steps = config.harmonize.curriculum_steps = 800
    config.demo.heldout_videos, config.eval.probe_clips = 60, 0
    # Each run changes what its name says.
    config.harmonize.update(PAPER)
    config.train.log_samples_every = 0
    config.train.checkpoint_every, config.train.keep_checkpoints = 200, 8
    config.study.signal_windows = 768
    config.short_overrides.unlock()
    config.short_overrides.update(
        {
            "study__seeds": (0, 1),
            "study__models": ("three_tower",),
            "study__methods": ("plain", "both"),
            "study__noise": (0.25,),
            "study__signal_windows": 128,
        }
    )
    return config
