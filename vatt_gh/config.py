"""Every configuration key with its default; config_checks.py refuses what does not fit.

An experiment file in `configs/` starts from `default()` and overrides what it needs; the command
line overrides single keys with `--config.a.b=value`. No key exists anywhere else, and no code
falls back to a default of its own.
"""

from typing import Any

from ml_collections import ConfigDict

# The paper's method, in keys of config.harmonize; see docs/study.md for why it is not the default.
PAPER = {"realign": True, "curriculum": True, "signal": "cosine", "select": "threshold"}


def default() -> ConfigDict:
    """Returns the configuration with every key at its default (original VATT where it has one)."""
    config = ConfigDict()
    # pretrain | evaluate | describe (prints sizes and costs) | demo (renders a corpus, does it all)
    # | study (many demos, one table)
    config.mode = "pretrain"
    config.seed = 0  # parameters, dropout, DropToken, window sampling and augmentation
    # Pre-training starts from these parameters and batch statistics instead of drawing them;
    # tf:PATH (a checkpoint of the original: a prefix such as DIR/ckpt-500000, or DIR) |
    # orbax:WORKDIR (the newest checkpoint of a run of ours). A run that is continued ignores it.
    config.init_from = ""
    # Position tables of another length: spline (the original's) | linear | auto (spline, but
    # linear for tables of more than 256 rows, those of waveforms)
    config.init_stretch = "auto"
    config.init_partial = False  # what the checkpoint lacks is drawn, what is left over is left
    config.short = False  # apply `short_overrides`: a quick run that visits every station
    config.short_overrides = ConfigDict()  # {"a.b": value}, written as {"a__b": value}
    config.model = _model()
    config.loss = _loss()
    config.harmonize = _harmonize()
    config.train = _train()
    config.data = _data()
    config.eval = _eval()
    config.demo = _demo()
    config.study = _study()
    return config.lock()


def _model() -> ConfigDict:
    transformer = {
        "layers": 12,
        "d_model": 768,
        "d_ff": 3072,
        "heads": 12,
        "d_kv": 64,  # width of one head; heads * d_kv need not be d_model
    }
    return ConfigDict(
        {
            "kind": "three_tower",  # three_tower (TX_FAC) | shared (UT_FAC: one encoder)
            "dtype": "float32",  # activations; parameters, softmax and losses stay float32
            "remat": False,  # recompute each block's activations in the backward pass
            "dropout_rate": 0.1,
            "attention_dropout_rate": 0.1,
            "position_dropout_rate": 0.1,  # the original hard-wires 0.1 here
            "keep_tokens": 0.5,  # DropToken: share of video and waveform tokens kept in training
            "d_post_proj": 1024,  # shared encoder only: width of the pooled features
            "video": {
                **transformer,
                "patch": (4, 16, 16),  # frames, rows, columns
                # rows of the temporal, vertical and horizontal position tables
                "buckets": (8, 14, 14),
            },
            "audio": {
                **transformer,
                "input": "waveform",  # waveform (WaT) | spectrogram (SpT)
                "patch": 128,  # samples of a waveform patch
                "buckets": 1200,  # rows of the waveform's position table
                "spectrogram": {
                    "frame": 2048,  # samples of one STFT frame
                    "hop": 1024,  # samples
                    "mel_bins": 80,
                    "mel_low_hz": 80.0,
                    "mel_high_hz": 7600.0,
                    "patch": (16, 5),  # frames, mel bins
                    "buckets": (9, 16),  # rows of the temporal and spectral position tables
                },
            },
            "text": {
                **transformer,
                "layers": 6,
                "d_model": 512,
                "d_ff": 2048,
                "heads": 8,
                "kind": "t5",  # t5 | bert | linear
                "d_embedding": 300,
                # The original freezes word2vec vectors. Without them the table must be learnt.
                "train_embeddings": True,
                "relative_buckets": 32,
                "relative_max_distance": 64,
                "buckets": 16,  # bert, shared: rows of the position table
            },
            "head": {"kind": "fac", "d_video_audio": 512, "d_video_text": 256},  # fac | joint
        }
    )


def _loss() -> ConfigDict:
    return ConfigDict(
        {
            "kind": "asymmetric_nce",  # asymmetric_nce (default of the original) | symmetric_nce
            "temperature": 0.07,
            "video_audio_weight": 1.0,
            "video_text_weight": 1.0,
        }
    )


def _harmonize() -> ConfigDict:
    return ConfigDict(
        {
            "realign": False,  # project out what conflicts (the paper's)
            "curriculum": True,  # weigh or drop samples by a signal
            # What the curriculum goes by: cosine (the paper's), of a sample's two gradients |
            # loss (ours): of each loss by itself the samples with the largest values are dropped.
            "signal": "loss",
            # What is dropped: share (of the batch; ours) | threshold (the paper's: what has a lower
            # cosine). The schedules are our reading of the paper, whose code was never released.
            "select": "share",
            "gamma_start": -0.3,  # threshold on the cosine
            "gamma_end": 0.0,
            "share_start": 0.0,  # share of the batch that is dropped
            "share_end": 0.25,
            "curriculum_begin": 0,  # every sample is kept before this step (ours)
            "curriculum_steps": 500_000,  # from there on linear from start to end over these steps
            "soft_temperature": 0.0,  # 0: weight 0 or 1; > 0: sigmoid((cosine - gamma) / it)
            # ghost: from what single layers saw | vmap: sample by sample, slow and obvious
            "engine": "ghost",
            "sketch": 0,  # ghost: random signs a layer, for cheaper estimates of cosines; 0: exact
            # Finds the exact cosines too and logs the largest error of a sample as sketch_error:
            # costs more than the sketch saves.
            "sketch_check": False,
            # A sample's two gradients are brought to one length, the mean of theirs, before they
            # are projected and added: else the loss with the larger one decides (ours).
            "equal_lengths": False,
            # Where the cosine is taken: in all shared parameters | in the last block's alone |
            # at the pooled features (ours: one backward pass, as a plain step has).
            "cosine_over": "shared",  # shared | last_block | features
            # Samples that are decided upon together, by the sum of their gradients; 1: each alone.
            "group": 1,
            # Of the losses of a batch, a sample is given embedding: all that it does to them, as
            # a negative too (sums to VATT) | anchor: what it does to its own terms; B times the
            # work in the heads. The paper leaves this open.
            "attribution": "embedding",
            # What is added up in the end: the same gradients | embedding: decisions may come from
            # anchors, the update is VATT's with their factors.
            "update": "same",  # same | embedding
        }
    )


def _train() -> ConfigDict:
    return ConfigDict(
        {
            "steps": 500_000,
            "batch_size": 2048,  # samples of all devices of all hosts together
            "microbatch": 0,  # samples whose towers run at a time, a device; 0: all
            "adam": {"b1": 0.9, "b2": 0.999, "epsilon": 1e-7},
            "warmup_steps": 5_000,
            "learning_rates": (1e-4, 5e-5),  # stepped cosine: falls from the first to the second
            "log_every": 50,  # steps between rows of metrics.jsonl
            "log_samples_every": 0,  # steps between rows of samples.jsonl; 0: none
            "checkpoint_every": 10_000,
            "keep_checkpoints": 3,
        }
    )


def _data() -> ConfigDict:
    return ConfigDict(
        {
            "builder": "howto100m",  # a name in tfds_builders.sets
            "split": "train",  # the one that is read
            "manual_dir": "",  # videos and captions; needed only where no records exist yet
            "data_dir": "",  # where records are, or are built to
            "build_workers": 2,  # processes that decode while records are built
            # jpeg: fastest to read | mp4: a quarter of the size | index: the originals are read
            "build_storage": "jpeg",
            "build_fps": 10.0,
            "build_short_side": 256,  # pixels
            "build_audio_rate": 48_000,  # Hz
            "build_segment_seconds": 30.0,
            # More data sets, "BUILDER=DATA_DIR" or "BUILDER/SPLIT=DATA_DIR" each, that take turns
            # with the one above, sample by sample: ("audioset/unbalanced_train=/data/as", ...).
            # What has no captions has no text; what is sound alone has no loss.
            "also": (),
            "frames": 32,  # of one window
            "fps": 10.0,  # frames a second of a window; records may hold more, or fewer
            "size": 224,  # pixels, height and width of a frame
            "audio_samples": 153_600,  # of one window, at the sound rate of the records
            "candidates": 5,  # captions a window, the nearest in time (K of MIL-NCE)
            "words": 16,  # of one caption
            "vocabulary": "",  # a file, one word a line; "": built from the captions
            "vocabulary_size": 65_536,
            "caption_reach": 10.0,  # s; a window further than this from any caption has no text
            "augmentation": "inception",  # none | crop | inception
            "min_area": 0.08,  # inception: smallest share of the frame kept
            "flip": True,
            "colour_jitter": 0.8,  # probability
            "hue": 0.2,
            "saturation": 0.4,
            "contrast": 0.4,
            "brightness": 32 / 255,
            "audio_noise": 0.01,  # Gaussian, as a share of the window's peak
            "windows_per_segment": 1,  # an epoch visits each segment this many times
            # The windows of one epoch are drawn once, and kept decoded beside the records for all
            # epochs and runs; for small data sets.
            "keep_windows": False,
            # Of the records that are read, how many may be damaged or gone before the run ends
            "unreadable_share": 0.1,
            "parallel_reads": 16,  # windows decoded at a time
            "prefetch": 2,  # batches ready on the devices
        }
    )


def _eval() -> ConfigDict:
    return ConfigDict(
        {
            "data_dir": "",  # records of the held-out corpus; "": data.data_dir
            "builder": "",  # of these; "": data.builder
            "split": "",  # likewise
            "batch_size": 32,
            "max_clips": 1_000,  # captions taken as queries, the first in the records' order
            # Clips that linear probes are fitted and tested on, from the first query's on; 0: the
            # queries' own. A probe of many classes needs many.
            "probe_clips": 0,
            "truth": "",  # alignment.jsonl with the classes of the held-out clips, for the probes
        }
    )


def _demo() -> ConfigDict:
    return ConfigDict(
        {
            "videos": 1_200,
            "heldout_videos": 140,
            "caption_noise": 0.25,  # share of captions that describe another scene
            "sound_noise": 0.25,  # share of scenes with the sound of another
            "width": 56,
            "height": 40,
            "fps": 10,
            "audio_rate": 8_000,
            "min_seconds": 10.0,
            "max_seconds": 20.0,
            # Short, because what is learnt grows with how many scenes there are; what costs time to
            # render is their length.
            "min_scene_seconds": 1.6,
            "max_scene_seconds": 3.2,
        }
    )


def _study() -> ConfigDict:
    return ConfigDict(
        {
            "seeds": (0, 1, 2, 3, 4),  # of parameters and batches
            "corpus_seed": 0,  # one corpus for all seeds
            "models": ("three_tower", "shared"),
            "methods": ("plain", "realignment", "curriculum", "both"),
            # Shares of wrong captions and, in other corpora, of wrong sounds.
            "noise": (0.0, 0.25, 0.5, 0.75),
            # Names of runs, or patterns of them, between commas: "shared-*-seed0"; "": all.
            "only": "",
            # Signals are measured at every checkpoint on so many windows; 0: not at all. Needs
            # data.keep_windows.
            "signal_windows": 0,
            "signal_visits": 3,  # of each window, in other batches
        }
    )


def apply_short(config: ConfigDict, explicit: dict[str, Any]) -> ConfigDict:
    """Applies `short_overrides` where `short` is set, below what the command line says.

    Args:
        config: a configuration made by `default()` and an experiment file.
        explicit: {"a.b": value} of the command line; these win.

    Returns:
        A copy with the overrides applied.
    """
    result = config.copy_and_resolve_references()
    if config.short:
        overrides = {key.replace("__", "."): value for key, value in config.short_overrides.items()}
        result.update_from_flattened_dict({**overrides, **explicit})
    return result


def harmonizes(config: ConfigDict) -> bool:
    """Whether samples are realigned, weighed by the curriculum, or both."""
    return config.harmonize.realign or config.harmonize.curriculum


def compares_gradients(config: ConfigDict) -> bool:
    """Whether a step needs the gradients of single samples."""
    harmonize = config.harmonize
    return harmonize.realign or (harmonize.curriculum and harmonize.signal == "cosine")


def get(config: ConfigDict, key: str) -> Any:
    """Returns the value of a dotted key, e.g. get(config, "train.steps")."""
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


def flatten(config: ConfigDict) -> dict[str, Any]:
    """{"a.b": value} of a configuration, in values that JSON keeps."""
    flat: dict[str, Any] = {}

    def visit(prefix: str, node: ConfigDict) -> None:
        for key, value in node.items():
            name = f"{prefix}{key}"
            if isinstance(value, ConfigDict):
                visit(f"{name}.", value)
            else:
                flat[name] = list(value) if isinstance(value, tuple) else value

    visit("", config)
    return flat
