"""Pre-training on YouTube-8M, or on a mixture with it, with the original's sizes: TX_FAC MBS.

    python -m vatt_gh.main --config=configs/youtube8m.py --workdir=work/run1 \\
        --config.data.manual_dir=/data/youtube8m --config.data.data_dir=/data/records

YouTube-8M has no captions. The text is your own captions of the videos, such as YouTube's or a
speech recogniser's. `--config.data.also="('howto100m=/data/other',)"` adds a second data set.

Hardware: as for configs/howto100m.py.
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
    config.data.builder = "youtube8m"
    return config
