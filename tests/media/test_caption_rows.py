"""Rows of captions under commonly used column names, and the unit of their times."""

import json

import pytest

from vatt_gh.media.captions import Caption, CaptionFileError, read_captions

SAID = [
    ("first pour the flour", 0.0, 4.9),
    ("now the water", 4.9, 11.5),
    ("stir it", 8.6, 14.6),
]
CAPTIONS = [Caption(*row) for row in SAID]
AS_MILLISECONDS = "its times are read as milliseconds, and not as seconds, which do not fit"
AS_HUNDREDTHS = "its times are read as hundredths of a second, and not as seconds, which do not fit"


def read(tmp_path, content, name="v.json", length=16.0):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_captions(path, length)


def rows(start="start", end="end", text="text", unit=1.0, number=float):
    return [
        {text: t, start: number(round(a / unit, 6)), end: number(round(b / unit, 6))}
        for t, a, b in SAID
    ]


LENGTHS = [{"text": t, "start": a, "duration": round(b - a, 6)} for t, a, b in SAID]


@pytest.mark.parametrize(
    "content",
    [
        LENGTHS,
        [LENGTHS],
        {"v": LENGTHS},
        {"v": LENGTHS, "another": [{"text": "of another video", "start": 1, "duration": 1}]},
        {"snippets": LENGTHS, "language": "en"},
        {
            "transcript": [
                {"text": r["text"], "offset": r["start"], "dur": r["duration"]} for r in LENGTHS
            ]
        },
        {name: [row[name] for row in LENGTHS] for name in ("text", "start", "duration")},
        {"body": rows("from", "to", "content")},
        rows("startTime", "endTime", "sentence"),
        rows("start_time", "stop", "Caption", number=str),
        rows(
            "begin",
            "finish",
            number=lambda t: f"00:{int(t) // 60:02}:{t % 60:06.3f}".replace(".", ","),
        ),
        rows("startMs", "endMs", unit=0.001),
        rows("start_s", "end (s)", number=str),
        rows("start (ms)", "end (ms)", unit=0.001, number=str),
        {"chunks": [{"text": t, "timestamp": [a, b]} for t, a, b in SAID]},
    ],
)
def test_rows_by_any_usual_name(tmp_path, content):
    assert read(tmp_path, content) == (CAPTIONS, [])


def test_whisper_cpp_tells_its_unit_and_a_broken_row_costs_itself(tmp_path):
    transcription = [
        {
            "timestamps": {"from": "00:00:00,000", "to": "00:00:04,900"},
            "offsets": {"from": round(a * 1000), "to": round(b * 1000)},
            "text": f" {t}",
        }
        for t, a, b in [*SAID, ("runs back", 9.0, 7.5)]
    ]
    content = {"systeminfo": "x", "model": {}, "params": {}, "transcription": transcription}
    # Milliseconds for any length of the video.
    for length in (16.0, 100_000.0, None):
        assert read(tmp_path, content, length=length) == (
            CAPTIONS,
            ["left out 1 of its captions, the first at item 4: it ends before it starts"],
        )
    for row in transcription:
        del row["offsets"]
    transcription[1]["timestamps"] = {"from": "00:01:02,500", "to": "01:00:00.000"}
    assert read(tmp_path, content, length=None)[0][-1] == Caption(SAID[1][0], 62.5, 3600.0)


@pytest.mark.parametrize("name", ["v.csv", "v.tsv"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(("unit", "reasons"), [(1.0, []), (0.001, [AS_MILLISECONDS])])
def test_tables_with_and_without_a_header(tmp_path, name, header, unit, reasons):
    cells = [(f"{a / unit:g}", f"{b / unit:g}", f'"{t}, yes"') for t, a, b in SAID]
    lines = ["\t".join(row) if name == "v.tsv" else ",".join(row) for row in cells]
    top = "start\tend\ttext\n" if name == "v.tsv" else "start,end,text\n"
    content = (top if header else "") + "\n".join(lines) + "\n"
    expected = [c._replace(text=f"{c.text}, yes") for c in CAPTIONS]
    assert read(tmp_path, content, name) == (expected, reasons)


def test_a_table_with_durations_and_one_that_does_not_say_so(tmp_path):
    body = "".join(f"{row['start']},{row['duration']},{row['text']}\n" for row in LENGTHS)
    assert read(tmp_path, "start,duration,text\n" + body, "v.csv") == (CAPTIONS, [])
    late = body.replace("0.0,4.9,first pour the flour\n", "")
    with pytest.raises(CaptionFileError, match="its second column does not hold end times"):
        read(tmp_path, late, "v.csv")
    for content in ("hello,you\n", "<!DOCTYPE html>\n<p>not found\n", "a,b,c\n0,1,x\n"):
        with pytest.raises(CaptionFileError, match="has no columns start, end, text"):
            read(tmp_path, content, "v.csv")


def scaled(unit, said=SAID, number=round):
    return [{"start": number(a / unit), "stop": number(b / unit), "text": t} for t, a, b in said]


@pytest.mark.parametrize("length", [14.6, 16.0, 25.0])
@pytest.mark.parametrize("shift", [0, 5])
def test_a_unit_that_nobody_tells_is_told_by_the_videos_length(tmp_path, length, shift):
    said = [(t, a + shift, b + shift) for t, a, b in SAID]
    expected = [Caption(*row) for row in said]
    length += shift
    assert read(tmp_path, scaled(0.001, said), length=length) == (expected, [AS_MILLISECONDS])
    assert read(tmp_path, scaled(0.01, said), length=length) == (expected, [AS_HUNDREDTHS])
    assert read(tmp_path, scaled(1.0, said, float), length=length) == (expected, [])


@pytest.mark.parametrize("length", [14_600.0, 50_000.0, None])
def test_a_unit_is_told_by_how_long_captions_would_last(tmp_path, length):
    said = [(f"word {k} of a long talk", 3 * k, 3 * k + 2.8) for k in range(60)]
    expected = [Caption(*row) for row in said]
    assert read(tmp_path, scaled(0.001, said), length=length)[0] == expected
    assert read(tmp_path, scaled(1.0, said, float), length=length)[0] == expected


def test_seconds_stay_seconds(tmp_path):
    for said, length in [
        (
            [("Introduction", 0, 600), ("Dough", 600, 2400), ("Oven", 2400, 3600)],
            3605.0,
        ),  # chapters
        ([("Introduction", 0, 600), ("Dough", 600, 1500), ("Oven", 1500, 2400)], None),
        ([(f"Chapter {k}", 300 * k, 300 * k + 300) for k in range(10)], 3600.0),
        ([("[Music]", 0, 60)], 60.0),
        ([("hi", 0, 1), ("you", 1, 2), ("there", 2, 3)], 3.2),  # whole seconds
        ([("hi", 0, 1), ("you", 1, 2), ("there", 2, 3)], 10_000.0),
        ([("hi", 0, 1), ("[silence]", 1, 900)], 1000.0),
    ]:
        expected = [Caption(*row) for row in said]
        assert read(tmp_path, scaled(1.0, said), length=length) == (expected, [])


def test_captions_of_another_video_are_left_out_and_the_reason_says_so(tmp_path):
    said = [(f"some words {k}", 20.5 + 3 * k, 23.25 + 3 * k) for k in range(9)]
    why = "they are of another video, or in another unit"
    for content, count in ((scaled(1.0, said, float), 9), (scaled(0.7, said), 9)):
        assert read(tmp_path, content) == (
            [],
            [f"all its captions are left out: {count} of 9 are outside the video's 16.0 s; {why}"],
        )
    srt = "".join(f"00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{t}\n\n" for t, a, b in said)
    captions, reasons = read(tmp_path, srt, "v.srt", 35.0)
    assert captions == [Caption(*row) for row in said[:5]]
    assert reasons == ["left out 4 of its captions: they are outside the video's 35.0 s"]
    assert read(tmp_path, srt, "v.srt", 25.0)[0] == []
    assert len(read(tmp_path, srt, "v.srt", None)[0]) == 9


def test_several_videos_in_one_file_of_one_are_refused(tmp_path):
    for content in ({"a": LENGTHS, "b": LENGTHS}, [LENGTHS, LENGTHS]):
        with pytest.raises(CaptionFileError, match="is JSON without"):
            read(tmp_path, content, "other.json")


@pytest.mark.parametrize("length", [60.0, 400.0, 600.0])
def test_milliseconds_of_a_video_in_which_little_is_said(tmp_path, length):
    said = [(f"this is sentence {k} of the beginning", 3 * k, 3 * k + 2.8) for k in range(15)]
    expected = [Caption(*row) for row in said]
    assert read(tmp_path, scaled(0.001, said), length=length) == (expected, [AS_MILLISECONDS])


def test_a_single_row_is_told_by_a_length_that_it_does_not_fit(tmp_path):
    said = "one sentence that takes seven seconds and a half, as long as the clip"
    table = "start\tend\ttext\n{}\t{}\t" + said + "\n"
    for start, end, length in ((0, 7500, 60.0), (500, 7500, 8.0)):
        found = read(tmp_path, table.format(start, end), "v.tsv", length)
        assert found == ([Caption(said, start / 1000, end / 1000)], [AS_MILLISECONDS])
    for end, length in ((60, 60.0), (80, 40.0)):
        row = [{"start": 0, "end": end, "text": "[Music]"}]
        assert read(tmp_path, row, length=length) == ([Caption("[Music]", 0, end)], [])


def test_quotes_in_whispers_tables_are_quotes(tmp_path):
    rows = ["2000\t4000\t\"I don't know,", "4000\t7000\tshe said.", '7000\t9000\t"Then he left."']
    captions, reasons = read(tmp_path, "start\tend\ttext\n" + "\n".join(rows) + "\n", "v.tsv", 10.0)
    assert [c.text for c in captions] == ["\"I don't know,", "she said.", "Then he left."]
    assert reasons == [AS_MILLISECONDS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.csv", "line,start,end,text\n1,0.5,2,hello\n"),
        ("v.json", [{"line": 1, "caption": 7, "start": 0.5, "end": 2, "text": "hello"}]),
        ("v.csv", "start;end;text\n0,5;2,0;hello\n"),
        ("v.json", [{"start": "00:00:00.500", "duration": 1500, "text": "hello"}]),
        ("v.tsv", "0.5\t2\thello\n"),
    ],
)
def test_columns_that_could_be_taken_for_others(tmp_path, name, content):
    assert read(tmp_path, content, name) == ([Caption("hello", 0.5, 2.0)], [])


def test_commas_in_a_text_do_not_make_columns(tmp_path):
    captions, _ = read(tmp_path, "0.0\t2.5\tHello, one, two, three; four\n", "v.tsv")
    assert captions == [Caption("Hello, one, two, three; four", 0.0, 2.5)]
