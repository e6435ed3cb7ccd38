"""JSON files of one video: json3, Whisper, lists, columns."""

import json

import pytest

from vatt_gh.media.captions import Caption, read_captions

# The rolling captions of test_caption_subtitles' first lines, as json3.
AUTOMATIC = {
    "wireMagic": "pb3",
    "pens": [{}],
    "events": [
        {"tStartMs": 0, "dDurationMs": 13000, "id": 1, "wpWinPosId": 1, "wsWinStyleId": 1},
        {
            "tStartMs": 160,
            "dDurationMs": 4710,
            "wWinId": 1,
            "segs": [
                {"utf8": "today", "acAsrConf": 0},
                {"utf8": " we", "tOffsetMs": 320},
                {"utf8": " carve", "tOffsetMs": 480},
            ],
        },
        {"tStartMs": 2470, "dDurationMs": 2400, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 2480, "dDurationMs": 3630, "segs": [{"utf8": ">> a spoon &amp; fork"}]},
        {"tStartMs": 4870, "dDurationMs": 1240, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 4880, "dDurationMs": 1230, "segs": [{"utf8": "yes"}]},
    ],
}


def read(tmp_path, content, name="v.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return read_captions(path)


@pytest.mark.parametrize("name", ["v.en.json3", "v.json"])
def test_rolling_json3_has_the_times_of_its_webvtt(tmp_path, name):
    assert read(tmp_path, AUTOMATIC, name) == (
        [
            Caption("today we carve", 0.16, 2.47),
            Caption("a spoon & fork", 2.48, 4.87),
            Caption("yes", 4.88, 6.11),
        ],
        [],
    )


def test_json3_that_people_wrote_and_broken_events(tmp_path):
    events = [
        {"tStartMs": 5000, "dDurationMs": 1500, "segs": [{"utf8": "Second\nline"}]},
        {"tStartMs": 1000, "dDurationMs": 9000, "segs": [{"utf8": "First,"}, {"utf8": " long"}]},
        {"tStartMs": 7000, "segs": [{"utf8": "never ends"}]},
        {"tStartMs": "7", "dDurationMs": 1, "segs": [{"utf8": "no number"}]},
        {"tStartMs": 10**400, "dDurationMs": 1, "segs": [{"utf8": "never starts"}]},
        {"tStartMs": 8000, "dDurationMs": -1, "segs": [{"utf8": "runs back"}]},
        {"tStartMs": 8000, "dDurationMs": 1, "segs": [{"utf8": "\n"}, {}, 7, {"utf8": None}]},
        {"tStartMs": 9000, "dDurationMs": 1},
        {"tStartMs": 9000, "dDurationMs": 1, "segs": "text"},
        "no event",
    ]
    captions, reasons = read(tmp_path, {"events": events}, "v.json3")
    assert captions == [Caption("First, long", 1.0, 10.0), Caption("Second line", 5.0, 6.5)]
    assert reasons == [
        "left out 3 of its captions, the first at event 3: its times are not numbers of seconds",
        "left out 1 of its captions, the first at event 6: it ends before it starts",
        "left out 1 of its captions, the first at event 7: it holds no word",
    ]


SEGMENTS = [
    {"id": 0, "seek": 0, "start": 0.0, "end": 4.5, "text": " Mix the glaze.", "tokens": [1, 2]},
    {"id": 1, "seek": 0, "start": 4.5, "end": 6.02, "text": " Let it rest.", "temperature": 0.0},
]


@pytest.mark.parametrize(
    "content",
    [
        {"text": " Mix the glaze. Let it rest.", "segments": SEGMENTS, "language": "en"},
        SEGMENTS,
        {name: [row[name] for row in SEGMENTS] for name in ("text", "start", "end")},
    ],
)
def test_whisper_lists_and_columns(tmp_path, content):
    assert read(tmp_path, content) == (
        [Caption("Mix the glaze.", 0.0, 4.5), Caption("Let it rest.", 4.5, 6.02)],
        [],
    )


def test_broken_segments_cost_one_caption_each(tmp_path):
    rows = [
        {"text": "late", "start": 9, "end": 10},
        {"text": "early", "start": 0, "end": 20},
        {"text": "no end", "start": 1, "end": None},
        {"text": None, "start": 1, "end": 2},
        {"text": ["a"], "start": 1, "end": 2},
        {"start": float("nan"), "end": 2, "text": "x"},
        {"text": "half \ud83d", "start": 11, "end": 12},
        7,
    ]
    captions, reasons = read(tmp_path, {"segments": rows})
    assert captions == [
        Caption("early", 0.0, 20.0),
        Caption("late", 9.0, 10.0),
        Caption("half ?", 11.0, 12.0),
    ]
    assert reasons == [
        "left out 3 of its captions, the first at item 3: its times are not numbers of seconds",
        "left out 2 of its captions, the first at item 4: it has no text",
    ]
