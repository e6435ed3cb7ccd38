"""What the original's fine-tunings have in common."""

from ml_collections import ConfigDict

from vatt_gh.config import default
from vatt_gh.models.sizes import MODELS


def original_recipe(steps: int) -> ConfigDict:
    """Returns the configuration of a fine-tuning of VATT's Medium towers, without its data.

    Args:
        steps: number of steps; the rate falls to 0 in them.
    """
    config = default()
    config.mode = "finetune"
    config.model.update(MODELS["tx_fac_mbs"]())
    config.model.dtype = "bfloat16"
    config.model.remat = True
    train = config.train
    train.batch_size, train.steps, train.warmup_steps = 64, steps, 2_500
    train.learning_rates = (0.005, 0.0)
    train.checkpoint_every = 5_000
    return config
