"""Keys of the demo and the study."""

from vatt_gh.config.model import MODEL_KINDS
from vatt_gh.config.schema import NOT_NEGATIVE, POSITIVE, SHARE, Key, Section, free

DEMO: Section = free(
    {
        "videos": Key(1_200, "number of videos to train on", within=POSITIVE),
        "heldout_videos": Key(140, "number of videos to evaluate on", within=POSITIVE),
        "caption_noise": Key(0.25, "share of captions that describe another scene", within=SHARE),
        "sound_noise": Key(0.25, "share of scenes with the sound of another", within=SHARE),
        "width": Key(56, "width of the videos", within="[16, inf)", multiple=2, unit="pixels"),
        "height": Key(40, "height of the videos", within="[16, inf)", multiple=2, unit="pixels"),
        "fps": Key(10, "frame rate of the videos", within=POSITIVE, unit="per second"),
        "audio_rate": Key(8_000, "sample rate of their sound", within=POSITIVE, unit="Hz"),
        "min_seconds": Key(10.0, "shortest video", within="[1, inf)", unit="s"),
        "max_seconds": Key(20.0, "longest video", within=POSITIVE, unit="s"),
        "min_scene_seconds": Key(
            1.6,
            "shortest scene; many short scenes teach more than a few long ones, which take as long "
            "to render",
            within=POSITIVE,
            unit="s",
        ),
        "max_scene_seconds": Key(3.2, "longest scene", within=POSITIVE, unit="s"),
    }
)

STUDY: Section = free(
    {
        "seeds": Key(
            (0, 1, 2, 3, 4),
            "random seeds of parameters and batches",
            within="[0, 4294967295]",
            at_least=1,
        ),
        "corpus_seed": Key(
            0, "random seed of the corpus, the same for all study.seeds", within=NOT_NEGATIVE
        ),
        "models": Key(
            MODEL_KINDS,
            "values of model.kind",
            choices=MODEL_KINDS,
            at_least=1,
        ),
        "methods": Key(
            ("plain", "realignment", "curriculum", "both"),
            "names of methods; study/plan.py has their settings",
            choices="vatt_gh.study.plan:METHODS",
            at_least=1,
        ),
        "noise": Key(
            (0.0, 0.25, 0.5, 0.75),
            "shares of wrong captions and, in other corpora, of wrong sounds",
            within=SHARE,
            at_least=1,
        ),
        "only": Key(
            "",
            'names of runs, or patterns of them, between commas: "shared-*-seed0"; empty: all',
        ),
        "signal_windows": Key(
            0,
            "number of windows to measure signals on, at every checkpoint; 0: none; needs "
            "data.keep_windows",
            within=NOT_NEGATIVE,
        ),
        "signal_visits": Key(
            3, "number of visits to each such window, in different batches", within=POSITIVE
        ),
    }
)
