"""The study: does harmonization help, for which noise and model; many demos and one table.

    python -m vatt_gh.main --config=configs/study.py --workdir=work/study

Hardware: two CPU cores; several machines may share the work directory. `--config.study.only=...`
runs a part, `--config=configs/study.py:short` runs all stages with minimal data.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vatt_gh.config import PAPER


def get_config(form: str = "whole") -> ConfigDict:
    """Returns the configuration; `form` is "whole" or "short"."""
    config = runpy.run_path(str(Path(__file__).with_name("demo.py")))["get_config"](form)
    config.mode = "study"
    # Each run changes the keys in its name.
    config.harmonize.update(PAPER)
    config.data.windows_per_segment = 24
    config.train.learning_rates = (2e-3, 1e-4)  # as in all runs so far; the demo's is half as large
    config.train.log_samples_every, config.train.keep_checkpoints = 0, 8
    config.eval.probe_clips = 0
    if form == "short":
        config.study.seeds, config.study.models = (0, 1), ("three_tower",)
        config.study.methods, config.study.noise = ("plain", "both"), (0.25,)
        config.study.signal_windows = 128
        return config
    # The demo's corpus halved and its training shortened: many runs matter more than long ones.
    config.demo.videos, config.demo.heldout_videos = 600, 60
    config.train.steps = config.harmonize.curriculum_steps = 800
    config.train.checkpoint_every = 200
    config.study.signal_windows = 768
    return config
