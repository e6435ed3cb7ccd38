"""Keys of what a trained model is used for."""

from vatt_gh.config.schema import NOT_NEGATIVE, POSITIVE, SHARE, Key, Section, free

EXTRACT: Section = free(
    {
        "videos": Key("", "folder of videos and sound files, at any depth, that are embedded"),
        "to": Key("", "folder of the vectors; empty: extracted in the work directory"),
        "every": Key(
            0.0,
            "from one window to the next; 0: the length of a window",
            within=NOT_NEGATIVE,
            unit="s",
        ),
    }
)

SEARCH: Section = free(
    {
        "query": Key("", "text that pictures are ranked by"),
        "file": Key("", "instead of text: a video or sound file that pictures are ranked by"),
        "results": Key(20, "windows shown, the best first", within=POSITIVE),
    }
)

AUDIT: Section = free(
    {
        "visits": Key(
            4,
            "visits to each clip, each in a different batch with different tokens; scores are "
            "averaged",
            within=POSITIVE,
        ),
        "by": Key(
            "loss",
            "what the worst clips are found by: loss and similarity judge sound and captions "
            "apart, the cosine of the two gradients both together",
            choices=("loss", "similarity", "cosine"),
        ),
        "worst": Key(0.2, "share that worst.csv lists, for --config.data.without", within=SHARE),
        "shown": Key(300, "clips on the page", within=POSITIVE),
        "truth": Key("", "alignment.jsonl of a rendered corpus: how many of the worst are planted"),
    }
)
