"""Keys of a run: mode, training, input and scores."""

from vatt_gh.config.schema import NOT_NEGATIVE, POSITIVE, SHARE, Key, Section, free
from vatt_gh.media.form import Form

MODES = {
    "pretrain": "train on records, which are built from data.manual_dir where there are none",
    "evaluate": "score a checkpoint on the records of eval.data_dir",
    "finetune": "learn the classes of a data set, from the checkpoint init_from",
    "extract": "embed a folder of videos and sound files, into Parquet files",
    "search": "rank what was extracted by a sentence, a video or a sound",
    "audit": "score the clip of every caption of a data set, and list the worst",
    "describe": "print the model's parts, parameters, FLOPs and memory, without data",
    "demo": "render a corpus, build records, train, score and draw pictures",
    "study": "train many such models, with and without harmonization, and write one table",
}
TRAINING_MODES = ("pretrain", "finetune", "demo", "study")

RUN: Section = {
    "mode": Key(
        "pretrain",
        "; ".join(f"{mode}: {what}" for mode, what in MODES.items()),
        choices=tuple(MODES),
        free=True,
    ),
    "seed": Key(
        0,
        "random seed of parameters, dropout, DropToken, windows and augmentation",
        within="[0, 4294967295]",
    ),
    "init_from": Key(
        "",
        "checkpoint of the original, or run of ours (its newest checkpoint), whose parameters and "
        "batch statistics a new run starts from; empty: they are drawn",
        form=("(tf|orbax):.+", "tf:PATH, such as tf:DIR/ckpt-500000, or orbax:WORKDIR"),
        free=True,
    ),
    "init_stretch": Key(
        "auto",
        "how position tables get another length: spline is the original's; auto takes linear for "
        "tables of more than 256 rows, those of waveforms",
        choices="vatt_gh.interop.transfer:STRETCHES",
        free=True,
    ),
    "init_partial": Key(
        False, "draw what the checkpoint lacks, and ignore what the model lacks", free=True
    ),
}

TRAIN: Section = {
    "steps": Key(500_000, "length of the run", within="[1, 2147483647]", unit="steps"),
    "batch_size": Key(
        2048, "samples of a step, of all devices of all hosts together", within=POSITIVE
    ),
    "microbatch": Key(0, "samples that a device encodes at a time; 0: all", within=NOT_NEGATIVE),
    "adam": {
        "b1": Key(0.9, "decay of the first moment", within="[0, 1)"),
        "b2": Key(0.999, "decay of the second moment", within="[0, 1)"),
        "epsilon": Key(1e-7, "added to the root of the second moment", within=POSITIVE),
    },
    "warmup_steps": Key(
        5_000, "the learning rate rises linearly from zero", within=NOT_NEGATIVE, unit="steps"
    ),
    "learning_rates": Key(
        (1e-4, 5e-5),
        "learning rates after the warm-up and at the end; half a cosine leads from one to the "
        "other",
        within=NOT_NEGATIVE,
    ),
    "log_every": Key(
        50, "interval between rows of metrics.jsonl", within=POSITIVE, unit="steps", free=True
    ),
    "log_samples_every": Key(
        0,
        "interval between rows of samples.jsonl; 0: no rows",
        within=NOT_NEGATIVE,
        unit="steps",
        free=True,
    ),
    "checkpoint_every": Key(
        10_000, "interval between regular checkpoints", within=POSITIVE, unit="steps", free=True
    ),
    "checkpoint_minutes": Key(
        10.0,
        "about the longest time between checkpoints; 0: no limit",
        within=NOT_NEGATIVE,
        unit="minutes",
        free=True,
    ),
    "skip_nonfinite": Key(
        0,
        "how many steps may have a loss or gradient that is not finite; they are skipped and "
        "counted; one more ends the run",
        within=NOT_NEGATIVE,
        unit="steps",
    ),
    "stall_minutes": Key(
        60.0,
        "longest time for a step; a longer one ends the run and prints where all threads stand; 0: "
        "no limit",
        within=NOT_NEGATIVE,
        unit="minutes",
        free=True,
    ),
    "keep_checkpoints": Key(
        3,
        "number of checkpoints to keep: the newest two, and regular ones",
        within=POSITIVE,
        free=True,
    ),
    "keep_best": Key(
        "",
        "score whose best checkpoint is kept as well; a checkpoint is saved whenever eval.every "
        "finds a better value",
        form=(r"eval\.\w+\.\w+", "a score as metrics.jsonl names it, such as eval.retrieval.r5"),
        free=True,
    ),
}

DATA: Section = {
    "builder": Key("howto100m", "data set", choices="tfds_builders.sets:DATA_SETS"),
    "split": Key("train", "split to read"),
    "manual_dir": Key(
        "",
        "folder of videos and captions; needed until records exist; for storage=index, always",
        free=True,
        path=True,
    ),
    "data_dir": Key(
        "", "folder of the records; they are built there if they are missing", free=True, path=True
    ),
    "build_workers": Key(
        2, "processes that decode while records are built", within=POSITIVE, free=True
    ),
    "build_storage": Key(
        Form.storage,
        "how records hold videos: jpeg is fastest to read, mp4 takes a quarter of the room, index "
        "reads the originals",
        choices="vatt_gh.media.storages:STORAGES",
    ),
    "build_fps": Key(Form.fps, "frame rate of a record", within=POSITIVE, unit="per second"),
    "build_short_side": Key(
        Form.short_side,
        "shorter side of a record's frames; smaller frames stay as they are; even, because colours "
        "are stored at half the resolution",
        within=POSITIVE,
        multiple=2,
        unit="pixels",
    ),
    "build_audio_rate": Key(
        Form.audio_rate, "sample rate of a record's sound", within=POSITIVE, unit="Hz"
    ),
    "build_segment_seconds": Key(
        Form.segment_seconds, "length of a record", within=POSITIVE, unit="s"
    ),
    "also": Key(
        (),
        "more data sets, whose samples alternate with those of data.data_dir",
        form=(r"[a-z0-9_]+(/\w+)?=.+", "BUILDER=DATA_DIR or BUILDER/SPLIT=DATA_DIR"),
        at_least=0,
    ),
    "only": Key(
        "",
        "a CSV file of the only stretches of videos to train on; columns video_id, start, end (s), "
        "modality; all but the first may be missing or empty",
        path=True,
    ),
    "without": Key("", "a CSV file like data.only, of stretches to leave out", path=True),
    "frames": Key(32, "number of frames of a window", within=POSITIVE),
    "fps": Key(
        10.0,
        "frame rate of a window; records may have another",
        within=POSITIVE,
        unit="per second",
    ),
    "size": Key(224, "height and width of a window's frames", within=POSITIVE, unit="pixels"),
    "audio_samples": Key(
        153_600, "length of a window's sound, at the records' rate", within=POSITIVE, unit="samples"
    ),
    "candidates": Key(
        5, "captions per window, the nearest in time (K of MIL-NCE)", within=POSITIVE
    ),
    "words": Key(16, "words per caption; longer ones are cut", within=POSITIVE),
    "vocabulary": Key("", "file with one word per line; empty: built from the captions", path=True),
    "vocabulary_size": Key(65_536, "largest number of words", within="[2, inf)"),
    "caption_reach": Key(
        10.0,
        "largest distance of a caption from its window; without one, the window has no text",
        within="[0, inf]",
        unit="s",
    ),
    "augmentation": Key(
        "inception", "how frames are cropped", choices=("none", "crop", "inception")
    ),
    "min_area": Key(0.08, "inception: smallest share of a frame that is kept", within="(0, 1]"),
    "flip": Key(True, "mirror half of the windows"),
    "colour_jitter": Key(0.8, "probability that colours are changed", within=SHARE),
    "hue": Key(0.2, "largest shift of the hue", within="[0, 0.5]"),
    "saturation": Key(0.4, "largest change of the saturation", within=SHARE),
    "contrast": Key(0.4, "largest change of the contrast", within=SHARE),
    "brightness": Key(
        32 / 255, "largest change of the brightness, as a share of white", within=SHARE
    ),
    "audio_noise": Key(
        0.01, "Gaussian noise, as a share of the window's peak", within=NOT_NEGATIVE
    ),
    "windows_per_segment": Key(1, "windows drawn from each record per epoch", within=POSITIVE),
    "keep_windows": Key(
        False,
        "draw the windows of one epoch once, and store them decoded beside the records, for all "
        "epochs and runs; for small data sets",
    ),
    "unreadable_share": Key(
        0.1,
        "largest share of the records read last (an epoch, at most 100,000) that may be damaged or "
        "missing; more ends the run",
        within=SHARE,
        free=True,
    ),
    "parallel_reads": Key(16, "windows decoded in parallel", within=POSITIVE, free=True),
    "prefetch": Key(2, "batches prepared ahead on the devices", within=NOT_NEGATIVE, free=True),
}

EVAL: Section = free(
    {
        "every": Key(
            0,
            "interval between scores in metrics.jsonl during training; a multiple of "
            "train.log_every; 0: no scores",
            within=NOT_NEGATIVE,
            unit="steps",
        ),
        "follow": Key(
            False,
            "score every checkpoint, and each new one up to train.steps, into evaluations.jsonl "
            "(evaluations_SET.jsonl for a downstream set); else only the newest",
        ),
        "checkpoint": Key(
            "newest",
            "the checkpoint to evaluate, embed and audit with; best: by train.keep_best",
            choices=("newest", "best"),
        ),
        "data_dir": Key("", "records of the held-out corpus; empty: data.data_dir", path=True),
        "builder": Key(
            "",
            "data set of the held-out records; empty: data.builder",
            choices="tfds_builders.sets:DATA_SETS",
        ),
        "split": Key("", "split of the held-out records; empty: data.split"),
        "windows": Key(4, "windows per clip of a downstream set, spread evenly", within=POSITIVE),
        "average": Key(
            "embeddings",
            "what retrieval averages over the windows of a clip",
            choices=("embeddings", "similarities"),
        ),
        "batch_size": Key(32, "clips embedded together", within=POSITIVE),
        "max_clips": Key(
            1_000,
            "number of captions used as queries, the first in the records' order",
            within=POSITIVE,
        ),
        "probe_clips": Key(
            0,
            "number of clips for linear probes, from the first query's on; a probe of many classes "
            "needs many; 0: as many as queries",
            within=NOT_NEGATIVE,
        ),
        "truth": Key(
            "",
            "file alignment.jsonl with the classes of the held-out clips, for the probes",
            path=True,
        ),
    }
)
