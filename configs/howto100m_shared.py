"""Pre-training as the harmonization paper does it: one shared encoder (UT_FAC medium), HowTo100M.

    python -m vatt_gh.main --config=configs/howto100m_shared.py --workdir=work/shared \\
        --config.data.manual_dir=/data/howto100m --config.data.data_dir=/data/records

AudioSet's sounds and pictures are mixed in by one key, sample by sample:
--config.data.also="('audioset/unbalanced_train=/data/audioset_records',)".

The paper's method is on: realignment, and the curriculum by the cosine; the values of its
threshold, -0.3 to 0, are ours. docs/papers.md says what else is the papers' and what is ours.

Hardware: as for configs/howto100m.py; this paper, too, names 256 TPUv3 cores and
three days.
"""

from ml_collections import ConfigDict

from vatt_gh.config import PAPER, default
from vatt_gh.models.sizes import MODELS


def get_config() -> ConfigDict:
    """Returns the configuration; keys not set here default to the original's values."""
    config = default()
    config.model.update(MODELS["ut_fac_medium"]())
    config.model.dtype = "bfloat16"
    config.model.remat = True
    config.harmonize.update(PAPER)
    return config
