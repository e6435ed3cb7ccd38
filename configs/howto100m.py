"""Pre-training on HowTo100M with the original's sizes: TX_FAC MBS, 32 x 224 x 224 at 10 fps.

    python -m vatt_gh.main --config=configs/howto100m.py --workdir=work/run1 \\
        --config.data.manual_dir=/data/howto100m --config.data.data_dir=/data/records

VATT mixed AudioSet in, which has no words: --config.data.also="('audioset/unbalanced_train=DIR',)".

Hardware: the original ran 500,000 steps of batch 2048 on 256 TPUv3 cores in under 3 days. A
smaller run sets train.batch_size, train.steps and harmonize.curriculum_steps.
"""

from ml_collections import ConfigDict

from vatt_gh.config import default
from vatt_gh.models.sizes import MODELS


def get_config() -> ConfigDict:
    """Returns the configuration; keys not set here default to the original's values."""
    config = default()
    config.model.update(MODELS["tx_fac_mbs"]())
    config.model.dtype = "bfloat16"
    config.model.remat = True
    return config
