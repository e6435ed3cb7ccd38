"""Keys of the uses of a trained model."""

from vatt_gh.config.schema import NOT_NEGATIVE, POSITIVE, SHARE, Key, Section, free

EXTRACT: Section = free(
    {
        "videos": Key("", "folder of the videos and sound files to embed, at any depth", path=True),
        "to": Key("", "folder of the vectors; empty: extracted in the work directory", path=True),
        "every": Key(
            0.0,
            "time from one window to the next; 0: the length of a window",
            within=NOT_NEGATIVE,
            unit="s",
        ),
    }
)

SEARCH: Section = free(
    {
        "query": Key("", "text to rank windows by their frames"),
        "file": Key("", "video or sound file to rank windows by, in place of text", path=True),
        "results": Key(20, "number of windows shown, the best first", within=POSITIVE),
    }
)

AUDIT: Section = free(
    {
        "visits": Key(
            4,
            "number of visits to each clip, each in another batch with other tokens; scores are "
            "averaged",
            within=POSITIVE,
        ),
        "by": Key(
            "loss",
            "score that ranks the clips: loss and similarity judge sound and captions separately, "
            "the cosine of the two gradients both together",
            choices="vatt_gh.audit.judged:JUDGED",
        ),
        "worst": Key(
            0.2, "share of the clips that worst.csv lists, for --config.data.without", within=SHARE
        ),
        "shown": Key(300, "number of clips on the page", within=POSITIVE),
        "truth": Key(
            "",
            "alignment.jsonl of a rendered corpus, to count the planted errors among the worst",
            path=True,
        ),
    }
)
