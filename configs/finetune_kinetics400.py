"""Fine-tuning on Kinetics-400 as VATT's paper does it: 32 pictures of 320 x 320 at 12.5 fps.

    python -m vatt_gh.main --config=configs/finetune_kinetics400.py --workdir=work/kinetics \\
        --config.init_from=orbax:work/run1 \\
        --config.data.manual_dir=/data/kinetics400 --config.data.data_dir=/data/kinetics_records

A model that starts from a run of ours has that run's form. A checkpoint of the original is
--config.init_from=tf:DIR/ckpt-500000; the sizes here are its Medium ones. For the other video sets
set --config.data.builder=ucf101 or hmdb51 and --config.finetune.fold=1, 2 or 3,
and fewer steps.

Hardware: not named in the paper for fine-tuning; a step is 64 clips.
"""

from ml_collections import ConfigDict

from vatt_gh.finetuning.original import original_recipe


def get_config() -> ConfigDict:
    """Returns the configuration; keys not set here default to the original's values."""
    config = original_recipe(steps=100_000)
    config.model.video.buckets = (8, 20, 20)  # 320 pixels; read tables of 14 rows are stretched

    data = config.data
    data.builder = "kinetics400"
    data.frames, data.size, data.fps = 32, 320, 12.5  # every second picture of 25 fps
    data.build_fps, data.build_short_side = 12.5, 320

    config.eval.batch_size = 8  # clips of 12 views each
    return config
