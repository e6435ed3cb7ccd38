"""Subtitles in odd layouts: rolling lines, repeated cues, concatenated files."""

import pytest

from vatt_gh.media.captions import Caption, read_captions

LINES = ["take the pan", "put in the butter", "wait until it melts", "add the onion", "stir it"]


def clock(seconds, mark):
    return f"00:{int(seconds) // 60:02}:{seconds % 60:06.3f}".replace(".", mark)


def srt(rows, *, numbers=True, gap="\n"):
    return "".join(
        (f"{k}\n" if numbers else "") + f"{clock(a, ',')} --> {clock(b, ',')}\n{text}\n{gap}"
        for k, (a, b, text) in enumerate(rows, 1)
    )


def vtt(rows, head="WEBVTT"):
    cues = "".join(f"{clock(a, '.')} --> {clock(b, '.')}\n{text}\n\n" for a, b, text in rows)
    return f"{head}\n\n{cues}"


def read(tmp_path, content, name="v.srt"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read_captions(path)


def rolling(shown, seconds=3):
    """Each cue shows the last `shown` spoken lines."""
    return [
        (seconds * k, seconds * (k + 1), "\n".join(LINES[max(0, k + 1 - shown) : k + 1]))
        for k in range(len(LINES))
    ]


@pytest.mark.parametrize("shown", [2, 3, 4])
@pytest.mark.parametrize("write", [srt, vtt])
def test_lines_that_roll_up_come_once_each_at_their_first_time(tmp_path, shown, write):
    captions, reasons = read(tmp_path, write(rolling(shown)))
    assert captions == [Caption(x, 3.0 * k, 3.0 * (k + 1)) for k, x in enumerate(LINES)]
    assert reasons == []


def test_a_refrain_does_not_roll(tmp_path):
    rows = [
        (0, 3, "row your boat\nrow your boat"),
        (3, 6, "row your boat\ngently down the stream"),
        (6, 9, "merrily"),
        (9, 12, "merrily\nmerrily"),
        (12, 15, "life is but a dream"),
    ]
    captions, _ = read(tmp_path, srt(rows))
    assert captions == [Caption(" ".join(x.split("\n")), float(a), float(b)) for a, b, x in rows]


@pytest.mark.parametrize("change", ["", "\u200b", "\ufeff", "\u00a0 ", "{\\an8}"])
def test_a_cue_that_is_shown_again_and_again_is_one_caption(tmp_path, change):
    rows = [(k / 4, (k + 1) / 4, f"mix{change if k % 2 else ''} the dough") for k in range(6)]
    if change == "\u00a0 ":
        rows = [(a, b, text.replace(" the", "\u00a0the")) for a, b, text in rows]
    captions, _ = read(tmp_path, srt([*rows, (2, 3, "let it rest")]))
    assert captions == [Caption("mix the dough", 0.0, 1.5), Caption("let it rest", 2.0, 3.0)]


@pytest.mark.parametrize(
    "times",
    [
        [(0, 3), (3, 6)],  # one after another, each long enough
        [(0, 0.5), (2, 2.5), (4, 4.5)],  # gone in between
    ],
)
def test_what_is_said_again_stays(tmp_path, times):
    captions, _ = read(tmp_path, srt([(a, b, "yes, yes") for a, b in times]))
    assert captions == [Caption("yes, yes", float(a), float(b)) for a, b in times]


def test_overlapping_copies_are_one_caption(tmp_path):
    captions, _ = read(tmp_path, srt([(0, 4, "cut it"), (1, 3, "then fry it"), (2, 6, "cut it")]))
    assert captions == [Caption("cut it", 0.0, 6.0), Caption("then fry it", 1.0, 3.0)]


MAP = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{},LOCAL:00:00:00.000"


@pytest.mark.parametrize("tight", [False, True])
def test_glued_segments_have_one_clock_and_no_headers(tmp_path, tight):
    first = vtt([(0, 2, "cut the bread"), (2, 5, "toast it")], MAP.format(900000))
    second = vtt([(2, 5, "toast it"), (5, 6, "eat it")], MAP.format(900000))
    content = first.rstrip("\n") + "\n" + second if tight else first + second
    captions, reasons = read(tmp_path, content, "v.vtt")
    assert captions == [
        Caption("cut the bread", 0.0, 2.0),
        Caption("toast it", 2.0, 5.0),
        Caption("eat it", 5.0, 6.0),
    ]
    assert reasons == []


def test_segments_that_count_from_their_own_start_are_put_behind_one_another(tmp_path):
    other = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{}\nLanguage: en"
    first = vtt([(0, 2, "cut the bread")], other.format(900000))
    second = vtt([(0, 2, "toast it")], other.format(900000 + 6 * 90000))
    captions, _ = read(tmp_path, first + second, "v.vtt")
    assert captions == [Caption("cut the bread", 0.0, 2.0), Caption("toast it", 6.0, 8.0)]


@pytest.mark.parametrize("text", ["3 --> 5 spoons", "add 2 --> it foams", "a --> b"])
@pytest.mark.parametrize("write", [srt, vtt])
def test_an_arrow_in_a_text_is_text(tmp_path, text, write):
    rows = [(0, 2, f"take\n{text}"), (2, 4, "stir")]
    captions, reasons = read(tmp_path, write(rows))
    assert captions == [Caption(f"take {text}", 0.0, 2.0), Caption("stir", 2.0, 4.0)]
    assert reasons == []


def test_numbers_behind_empty_lines_are_no_text(tmp_path):
    content = srt([(0, 1, "one"), (1, 2, "two"), (2, 3, "three")])
    for number in "123":
        content = content.replace(f"{number}\n00", f"{number}\n\n00")
    captions, _ = read(tmp_path, content)
    assert [caption.text for caption in captions] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("numbers", "gap"), [(True, "\n"), (True, ""), (False, "\n"), (True, "\n\n\n")]
)
def test_a_text_of_digits_is_text(tmp_path, numbers, gap):
    rows = [(0, 1, "the temperature is\n350"), (1, 2, "and the time"), (2, 3, "45"), (3, 4, "min")]
    captions, reasons = read(tmp_path, srt(rows, numbers=numbers, gap=gap))
    assert [c.text for c in captions] == ["the temperature is 350", "and the time", "45", "min"]
    assert reasons == []


def test_digits_without_any_gap_are_text_too(tmp_path):
    rows = [(0, 1, "bake for\n350"), (1, 2, "45"), (2, 3, "minutes")]
    captions, _ = read(tmp_path, srt(rows, numbers=False, gap=""))
    assert [caption.text for caption in captions] == ["bake for 350", "45", "minutes"]


def test_empty_cues_do_not_make_the_others_roll(tmp_path):
    rows = [(0, 0, "")] * 4 + [(0, 3, "row\nrow"), (3, 6, "row\ngently")]
    captions, reasons = read(tmp_path, srt(rows))
    assert [caption.text for caption in captions] == ["row row", "row gently"]
    assert reasons == ["left out 4 of its captions, the first at line 2: it holds no word"]


def test_a_broken_line_of_times_is_no_text(tmp_path):
    cues = (
        "0:00:01.000,0:00:03.000\none",
        "0:00:4x.000,0:00:06.000\ntwo",
        "0:00:07.000,0:00:08.000\nthree\n",
    )
    path = tmp_path / "v.sbv"
    path.write_text("\n\n".join(cues))
    captions, reasons = read_captions(path)
    assert [caption.text for caption in captions] == ["one", "three"]
    assert reasons == [
        "left out 1 of its captions, the first at line 4: its times are not numbers of seconds"
    ]
    content = srt([(0, 1, "one"), (1, 2, "two")]).replace("-->", "->")
    captions, reasons = read(tmp_path, content)
    assert [(c.text, c.start, c.end) for c in captions] == [("one", 0.0, 1.0), ("two", 1.0, 2.0)]
    assert reasons == []


def test_a_bad_byte_costs_its_cue(tmp_path):
    said = "\u043f\u0440\u0438\u0432\u0435\u0442 \u0432\u0441\u0435\u043c"
    rows = [(0, 1, said), (1, 2, "bad X byte"), (2, 3, f"{said} {said}")]
    path = tmp_path / "v.srt"
    path.write_bytes(srt(rows).encode().replace(b"X", b"\xff"))
    captions, reasons = read_captions(path)
    assert [caption.start for caption in captions] == [0.0, 2.0]
    (reason,) = reasons
    assert reason.endswith("it holds bytes that are no text")
    path.write_bytes(b"\xff\xfe\x00\x00" + srt(rows[:1]).encode("utf-32-le"))
    assert read_captions(path)[0][0].text == said


def test_captions_that_end_far_behind_their_video_are_named(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text("start,end,text\n-1.0,2.0,early\n3.0,4.0,good\n5.0,3000.5,endless\n")
    captions, reasons = read_captions(path, 12.0)
    assert captions == [Caption("early", 0.0, 2.0), Caption("good", 3.0, 4.0)]
    assert reasons == ["left out 1 of its captions: they are outside the video's 12.0 s"]
