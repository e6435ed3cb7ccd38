"""Keys of fine-tuning; the values are the original's for Kinetics-400."""

from vatt_gh.config.schema import NOT_NEGATIVE, POSITIVE, SHARE, Key, Section

FINETUNE: Section = {
    "fold": Key(1, "number of the data set's fold to learn and test", within=POSITIVE),
    "split": Key(
        "", "official splits to train on, joined by +; empty: those of the data set's protocol"
    ),
    "dropout_rate": Key(
        0.5,
        "dropout of the feature that the linear layer gets; the original: 0 for sound",
        within="[0, 1)",
    ),
    "freeze": Key(False, "learn the linear layer alone, and leave the tower unchanged"),
    "label_smoothing": Key(
        0.1,
        "share of the target that is spread over all classes; only for one class per clip",
        within=SHARE,
    ),
    "mixup": Key(
        0.0,
        "mix samples in pairs, with weights from Beta(mixup, mixup); 0: none; the original: 5 "
        "for sound",
        within=NOT_NEGATIVE,
    ),
    "momentum": Key(0.9, "momentum of SGD", within="[0, 1)"),
    "clip": Key(
        0.75,
        "largest norm of the tower's gradient; a longer one is scaled down; 0: no limit",
        within=NOT_NEGATIVE,
    ),
    "three_crops": Key(
        True,
        "score three squares of each window, spread along its longer side; else the central one",
        free=True,
    ),
}
