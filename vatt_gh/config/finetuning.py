"""Keys of fine-tuning; the values are the original's for Kinetics-400."""

from vatt_gh.config.schema import NOT_NEGATIVE, POSITIVE, SHARE, Key, Section

FINETUNE: Section = {
    "fold": Key(1, "of the data set's folds, the one that is learnt and tested", within=POSITIVE),
    "split": Key(
        "", "official splits to train on, joined by +; empty: those of the data set's protocol"
    ),
    "dropout_rate": Key(
        0.5,
        "dropout of the feature that the linear layer gets; the original: 0 for sound",
        within="[0, 1)",
    ),
    "freeze": Key(False, "leave the tower as it is, and learn the linear layer alone"),
    "label_smoothing": Key(
        0.1, "share of the target that all classes have; one class a clip only", within=SHARE
    ),
    "mixup": Key(
        0.0,
        "mix samples in pairs, with weights from Beta(mixup, mixup); 0: do not; the original: 5 "
        "for sound",
        within=NOT_NEGATIVE,
    ),
    "momentum": Key(0.9, "of SGD", within="[0, 1)"),
    "clip": Key(
        0.75,
        "longest gradient of the tower; a longer one is shortened; 0: any",
        within=NOT_NEGATIVE,
    ),
    "three_crops": Key(
        True,
        "score three squares of each window, along the longer side; else the central one",
        free=True,
    ),
}
