"""The demo: a rendered corpus, a small model, every station of the way; a few minutes.

    python -m vatt_gh.main --config=configs/demo.py --workdir=work/demo

Hardware: two CPU cores. `--config.short=True` visits every station with less of everything.
"""

from ml_collections import ConfigDict

from vatt_gh.config import default


def get_config() -> ConfigDict:
    """Returns the configuration."""
    config = default()
    config.mode = "demo"
    size = {"layers": 3, "d_model": 96, "d_ff": 256, "heads": 4, "d_kv": 24}
    model = config.model
    model.dropout_rate = model.attention_dropout_rate = model.position_dropout_rate = 0.0
    for tower in (model.video, model.audio, model.text):
        tower.update(size)
    model.video.patch, model.video.buckets = (4, 8, 8), (4, 6, 6)
    model.text.layers = 1
    model.text.d_embedding = 64
    model.audio.input = "spectrogram"
    model.audio.spectrogram.update(frame=1024, hop=256, mel_bins=40, patch=(8, 10), buckets=(12, 4))
    model.head.d_video_audio = model.head.d_video_text = 64

    data = config.data
    data.frames, data.size, data.audio_samples = 16, 48, 25_600  # 1.6 s at 10 fps and 16 kHz
    data.candidates, data.words, data.vocabulary_size = 2, 16, 1_000
    data.augmentation, data.colour_jitter = "inception", 0.5
    data.min_area, data.hue = 0.5, 0.0  # colour has a meaning here
    data.windows_per_segment = 4
    data.build_fps, data.build_short_side, data.build_audio_rate = 10.0, 56, 16_000
    data.parallel_reads = 2

    train = config.train
    train.steps, train.batch_size, train.warmup_steps = 600, 32, 50
    train.learning_rates = (1e-3, 1e-4)
    train.log_every, train.log_samples_every, train.checkpoint_every = 10, 1, 200
    config.harmonize.curriculum_steps = 600
    config.harmonize.microbatch = 16

    config.eval.max_clips = 400
    config.short_overrides = ConfigDict(
        {
            "demo__videos": 24,
            "demo__heldout_videos": 12,
            "train__steps": 30,
            "train__warmup_steps": 5,
            "train__log_every": 5,
            "train__checkpoint_every": 15,
            "harmonize__curriculum_steps": 30,
        }
    )
    return config
