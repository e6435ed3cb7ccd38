"""The study: does harmonization help, for which noise and model; many demos and one table.

    python -m vatt_gh.main --config=configs/study.py --workdir=work/study

Hardware: two CPU cores; several machines may share the work directory. `--config.study.only=...`
runs a part, `--config=configs/study.py:short` runs all stages with minimal data, and
`--config=configs/study.py:large`, for a GPU, a larger model on a larger corpus, see `_enlarge`.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vatt_gh.config import PAPER, check_form


def get_config(form: str = "whole") -> ConfigDict:
    """Returns the configuration; `form` is "whole", "short" or "large"."""
    check_form(form, "whole", "short", "large")
    demo = runpy.run_path(str(Path(__file__).with_name("demo.py")))["get_config"]
    config = demo("short" if form == "short" else "whole")
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
    if form == "large":
        _enlarge(config)
    return config


def _enlarge(config: ConfigDict) -> None:
    """Quadruples the width, doubles depth and corpus; 20 times the samples, half the rate."""
    for tower in (config.model.video, config.model.audio, config.model.text):
        depth = 2 * tower.layers
        tower.update({"layers": depth, "d_model": 256, "d_ff": 768, "heads": 4, "d_kv": 64})
    config.model.text.d_embedding = config.model.head.d_video_audio = 256
    config.demo.videos, config.demo.heldout_videos = 1_200, 140
    config.train.steps = config.harmonize.curriculum_steps = 4_000
    config.train.batch_size, config.train.checkpoint_every = 256, 1_000
    config.train.learning_rates, config.train.warmup_steps = (1e-3, 1e-4), 200
