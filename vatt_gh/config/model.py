"""Keys of the model and its losses; the sizes are the original's."""

from vatt_gh.config.schema import INT32, NOT_NEGATIVE, POSITIVE, SHARE, Key, Section
from vatt_gh.loss_terms import LOSS_TERMS

MODEL_KINDS = ("three_tower", "shared")


def _transformer(layers: int, d_model: int, d_ff: int, heads: int) -> Section:
    return {
        "layers": Key(layers, "number of blocks", within=NOT_NEGATIVE),
        "d_model": Key(d_model, "width of the tokens", within=POSITIVE),
        "d_ff": Key(d_ff, "width of the MLPs' hidden layer", within=POSITIVE),
        "heads": Key(heads, "number of attention heads", within=POSITIVE),
        "d_kv": Key(64, "width of one head; heads x d_kv need not be d_model", within=POSITIVE),
    }


_SPECTROGRAM: Section = {
    "frame": Key(2048, "length of an STFT frame", within="[2, inf)", unit="samples"),
    "hop": Key(1024, "distance between two STFT frames", within=POSITIVE, unit="samples"),
    "mel_bins": Key(80, "number of mel filters", within=POSITIVE),
    "mel_low_hz": Key(80.0, "lower end of the mel filters", within=NOT_NEGATIVE, unit="Hz"),
    "mel_high_hz": Key(7600.0, "upper end of the mel filters", within=POSITIVE, unit="Hz"),
    "patch": Key((16, 5), "frames and mel bins of a patch", within=POSITIVE),
    "buckets": Key((9, 16), "rows of the temporal and spectral position tables", within=POSITIVE),
}

MODEL: Section = {
    "kind": Key(
        "three_tower",
        "a tower for each modality (TX_FAC), or one shared encoder (UT_FAC)",
        choices=MODEL_KINDS,
    ),
    "dtype": Key(
        "float32",
        "number format of activations; parameters, softmax and losses stay float32",
        choices=("float32", "bfloat16"),
    ),
    "remat": Key(False, "recompute each block's activations in the backward pass"),
    "dropout_rate": Key(0.1, "dropout after attention and in MLPs", within="[0, 1)"),
    "attention_dropout_rate": Key(0.1, "dropout of attention weights", within="[0, 1)"),
    "position_dropout_rate": Key(
        0.1, "dropout of tokens with their positions; the original hard-wires it", within="[0, 1)"
    ),
    "keep_tokens": Key(
        0.5, "DropToken: share of video and waveform tokens kept in training", within="(0, 1]"
    ),
    "d_post_proj": Key(1024, "shared encoder: width of the pooled features", within=POSITIVE),
    "video": {
        **_transformer(12, 768, 3072, 12),
        "patch": Key((4, 16, 16), "frames, rows and columns of a patch", within=POSITIVE),
        "buckets": Key(
            (8, 14, 14),
            "rows of the temporal, vertical and horizontal position tables",
            within=POSITIVE,
        ),
    },
    "audio": {
        **_transformer(12, 768, 3072, 12),
        "input": Key(
            "waveform", "waveform (WaT) or spectrogram (SpT)", choices=("waveform", "spectrogram")
        ),
        "patch": Key(128, "length of a waveform patch", within=POSITIVE, unit="samples"),
        "buckets": Key(1200, "rows of the waveform's position table", within=POSITIVE),
        "spectrogram": _SPECTROGRAM,
    },
    "text": {
        **_transformer(6, 512, 2048, 8),
        "kind": Key(
            "t5", "form of the text tower", choices="vatt_gh.models.text_towers:TEXT_TOWERS"
        ),
        "d_embedding": Key(300, "width of the word vectors", within=POSITIVE),
        "train_embeddings": Key(
            True,
            "train the word vectors; the original freezes word2vec's, which do not come with it",
        ),
        "relative_buckets": Key(32, "t5: rows of the relative position table", within="[4, inf)"),
        "relative_max_distance": Key(
            64, "t5: words at this distance or more share a row", within=POSITIVE, unit="words"
        ),
        "buckets": Key(16, "bert and shared encoder: rows of the position table", within=POSITIVE),
    },
    "head": {
        "kind": Key(
            "fac",
            "fine and coarse spaces, or one joint space for all modalities",
            choices=("fac", "joint"),
        ),
        "d_video_audio": Key(
            512, "width of the video-audio space; of the joint space", within=POSITIVE
        ),
        "d_video_text": Key(256, "width of the video-text space", within=POSITIVE),
    },
}

LOSS: Section = {
    "kind": Key(
        "asymmetric_nce",
        "form of the contrastive losses; the original's default is asymmetric",
        choices="vatt_gh.losses:NCE_KINDS",
    ),
    "temperature": Key(0.07, "divides the similarities", within=POSITIVE),
    **{
        term.weight_key: Key(
            term.weight,
            f"weight of the {term.anchor}-{term.other} loss; 0: none",
            within=NOT_NEGATIVE,
        )
        for term in LOSS_TERMS.values()
    },
}

HARMONIZE: Section = {
    "realign": Key(False, "project out conflicts between a sample's gradients (the paper's)"),
    "curriculum": Key(True, "drop samples, or weigh them less, by a signal"),
    "signal": Key(
        "loss",
        "which samples the curriculum drops: cosine, those whose two gradients oppose each other "
        "(the paper's); loss, for each loss those with its largest values (ours); random, any, for "
        "comparison",
        choices=("cosine", "loss", "random"),
    ),
    "select": Key(
        "share",
        "how many samples are dropped: share, a share of the batch (ours); threshold, all whose "
        "cosine is below a threshold (the paper's)",
        choices="vatt_gh.harmonize.method:SELECTIONS",
    ),
    "gamma_start": Key(
        -0.3, "first threshold on the cosine; the schedule is our reading", within="(-inf, 1]"
    ),
    "gamma_end": Key(0.0, "last threshold on the cosine", within="(-inf, 1]"),
    "share_start": Key(0.0, "first share of the batch that is dropped", within=SHARE),
    "share_end": Key(0.25, "last share of the batch that is dropped", within=SHARE),
    "curriculum_begin": Key(
        0, "before this step every sample is kept (ours)", within=INT32, unit="steps"
    ),
    "curriculum_steps": Key(
        500_000, "length of the linear change from start to end", within=INT32, unit="steps"
    ),
    "soft_temperature": Key(
        0.0,
        "threshold: 0 gives weights 0 or 1, a positive one sigmoid((cosine - gamma) / temperature)",
        within=NOT_NEGATIVE,
    ),
    "engine": Key(
        "ghost",
        "how per-sample gradients are compared: ghost, from each layer's inputs and output "
        "cotangents; vmap, from each sample's whole gradient, slow and direct",
        choices="vatt_gh.harmonize:ENGINES",
    ),
    "sketch": Key(
        0,
        "ghost: number of random signs per layer, for cheaper estimates of cosines; 0: exact",
        within=NOT_NEGATIVE,
    ),
    "sketch_check": Key(
        False,
        "with a sketch: also find the exact cosines and log the largest error as sketch_error; "
        "costs more than the sketch saves",
    ),
    "equal_lengths": Key(
        False,
        "scale a sample's gradients to equal length before they are projected and added, so that "
        "the larger one does not dominate (ours)",
    ),
    "cosine_over": Key(
        "shared",
        "which gradients are compared: by all shared parameters, by the last block's, or by the "
        "pooled features, which needs no engine and costs no more than a plain step (ours)",
        choices=("shared", "last_block", "features"),
    ),
    "group": Key(
        1,
        "number of samples that share a decision, by the sum of their gradients; 1: each alone",
        within=POSITIVE,
    ),
    "attribution": Key(
        "embedding",
        "how the batch's gradient is divided among samples: embedding, a sample's full effect, "
        "also as a negative, so that the parts sum to VATT's gradient; anchor, its effect on its "
        "own terms alone, for B times the work in the heads",
        choices="vatt_gh.harmonize.attribution:ATTRIBUTIONS",
    ),
    "update_by": Key(
        "same",
        "which gradients are summed: same, those that were compared; embedding, VATT's, each with "
        "the factor that attribution=anchor gives it",
        choices=("same", "embedding"),
    ),
}
