"""The demo: a rendered corpus, a small model without and with harmonization; takes 12 minutes.

    python -m vatt_gh.main --config=configs/demo.py --workdir=work/demo

Hardware: two CPU cores. `--config=configs/demo.py:short` runs all stages with less of everything.
"""

from ml_collections import ConfigDict

from vatt_gh.config import check_form, default


def get_config(form: str = "whole") -> ConfigDict:
    """Returns the configuration; `form` is "whole" or "short"."""
    config = default()
    config.mode = "demo"
    size = {"layers": 2, "d_model": 64, "d_ff": 192, "heads": 4, "d_kv": 16}
    model = config.model
    model.dropout_rate = model.attention_dropout_rate = model.position_dropout_rate = 0.0
    model.keep_tokens = 1.0  # there are so few tokens that each is needed
    for tower in (model.video, model.audio, model.text):
        tower.update(size)
    model.video.patch, model.video.buckets = (4, 10, 10), (2, 4, 4)
    model.text.layers = 1
    model.text.d_embedding = 64
    model.audio.input = "spectrogram"
    model.audio.spectrogram.update(frame=512, hop=256, mel_bins=40, patch=(5, 10), buckets=(6, 4))
    model.audio.spectrogram.mel_high_hz = 3_800.0
    # The batch norm of the joint head amplifies the differences learnt in such a short training.
    model.head.kind, model.head.d_video_audio = "joint", 64

    data = config.data
    data.frames, data.size, data.audio_samples = 8, 40, 6_400  # 0.8 s at 10 fps and 8 kHz
    data.candidates, data.words, data.vocabulary_size = 1, 16, 1_000
    data.augmentation, data.colour_jitter = "crop", 0.0  # colour carries meaning here
    data.windows_per_segment, data.keep_windows = 36, True
    data.audio_noise = 0.0  # the corpus has its own noise
    data.build_fps, data.build_short_side, data.build_audio_rate = 10.0, 40, 8_000
    data.parallel_reads = 2

    train = config.train
    train.steps, train.batch_size, train.warmup_steps = 2_600, 64, 50
    # With twice the rate, some runs lose half of their retrieval by chance.
    train.learning_rates = (1e-3, 1e-4)
    train.log_every, train.log_samples_every, train.checkpoint_every = 20, 1, 500
    # The page should also show the inputs of realignment.
    config.harmonize.realign, config.harmonize.curriculum_steps = True, 2_600

    # There are many kinds of clips: a probe needs more than a few hundred.
    config.eval.max_clips, config.eval.probe_clips = 400, 1_600
    if check_form(form, "whole", "short") == "short":
        config.demo.videos, config.demo.heldout_videos = 16, 10
        train.steps = config.harmonize.curriculum_steps = 20
        train.warmup_steps, train.log_every, train.checkpoint_every = 5, 5, 10
    return config
