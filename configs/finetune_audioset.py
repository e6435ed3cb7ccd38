"""Fine-tuning of the sound tower on AudioSet as VATT does it: 6.4 s at 24 kHz, with mixup.

    python -m vatt_gh.main --config=configs/finetune_audioset.py --workdir=work/audioset \\
        --config.init_from=orbax:work/run1 \\
        --config.data.manual_dir=/data/audioset --config.data.data_dir=/data/audioset_records

For ESC-50 set --config.data.builder=esc50, --config.finetune.fold=1 to 5, and windows
of at most its 5 s: --config.data.frames=48 --config.data.audio_samples=115200.

The tower was pre-trained on sound of 48 kHz. The original, too, hears every second sample here,
so that a clip of twice the length fits.

Hardware: not named in the paper for fine-tuning; a step is 64 clips.
"""

from ml_collections import ConfigDict

from vatt_gh.finetuning.original import original_recipe


def get_config() -> ConfigDict:
    """Returns the configuration; keys not set here default to the original's values."""
    config = original_recipe(steps=50_000)
    data = config.data
    data.builder = "audioset"
    data.build_audio_rate, data.audio_samples = 24_000, 153_600
    data.frames = 64  # at 10 fps: 6.4 s, like the sound
    data.audio_noise = 0.0

    config.finetune.dropout_rate, config.finetune.mixup = 0.0, 5.0
    config.eval.batch_size = 16
    return config
