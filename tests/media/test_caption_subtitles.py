"""WebVTT and SRT: deviations of real files, and YouTube's rolling captions, unrolled."""

import re

import pytest

from vatt_gh.media.captions import Caption, read_captions

# YouTube's automatic captions: two lines; the upper one repeats the previous line.
ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.470 align:start position:0%
\x20
today<00:00:00.480><c> we</c><00:00:00.640><c> carve</c>

00:00:02.470 --> 00:00:02.480 align:start position:0%
today we carve
\x20

00:00:02.480 --> 00:00:04.870 align:start position:0%
today we carve
a<00:00:02.639><c> spoon</c><00:00:03.000><c> &amp;</c><00:00:03.100><c> fork</c>

00:00:04.870 --> 00:00:04.880 align:start position:0%
a spoon &amp; fork
\x20

00:00:04.880 --> 00:00:06.110 align:start position:0%
a spoon &amp; fork
yes

00:00:06.110 --> 00:00:06.120 align:start position:0%
yes
\x20

00:00:06.120 --> 00:00:07.350 align:start position:0%
yes
yes

00:00:07.350 --> 00:00:07.360 align:start position:0%
yes
\x20

00:00:09.000 --> 00:00:10.990 align:start position:0%
\x20
yes

00:00:10.990 --> 00:00:11.000 align:start position:0%
yes
\x20

00:00:11.000 --> 00:00:13.000 align:start position:0%
yes
&gt;&gt;<00:00:11.200><c> [Music]</c>
"""
SAID = [
    Caption("today we carve", 0.16, 2.47),
    Caption("a spoon & fork", 2.48, 4.87),
    Caption("yes", 4.88, 6.11),
    Caption("yes", 6.12, 7.35),  # said twice
    Caption("yes", 9.0, 10.99),  # and again, after the screen was cleared
    Caption("[Music]", 11.0, 13.0),
]


def read(tmp_path, content, name="v.vtt"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read_captions(path)


def as_srt(vtt):
    """The output of converters: numbers, commas, no tags."""
    cues = re.split(r"\n(?=\d\d:\d\d:\d\d\.\d{3} -->)", vtt)[1:]
    cues = [re.sub(r" align.*", "", re.sub(r"<[^>]*>", "", cue)) for cue in cues]
    cues = [re.sub(r"(\d\d:\d\d:\d\d)\.", r"\1,", cue) for cue in cues]
    return "\n".join(f"{k}\n{cue}" for k, cue in enumerate(cues, 1))


def test_rolling_captions_are_unrolled(tmp_path):
    assert read(tmp_path, ROLLING) == (SAID, [])


def test_rolling_captions_whose_spaces_were_stripped_are_unrolled(tmp_path):
    assert "\n\n\n" in ROLLING.replace(" \n", "\n")
    assert read(tmp_path, ROLLING.replace(" \n", "\n")) == (SAID, [])


def test_rolling_captions_converted_to_srt_are_unrolled(tmp_path):
    content = as_srt(ROLLING)
    assert content.startswith("1\n00:00:00,160 --> 00:00:02,470\n \ntoday we carve\n")
    assert read(tmp_path, content, "v.srt") == (SAID, [])


def test_a_line_is_repeated_where_the_screen_was_empty_in_between(tmp_path):
    content = """WEBVTT

00:01.000 --> 00:02.000
press<00:01.500><c> it</c>

00:05.000 --> 00:06.000
press it
"""
    assert read(tmp_path, content)[0] == [
        Caption("press it", 1.0, 2.0),
        Caption("press it", 5.0, 6.0),
    ]


def test_captions_that_people_wrote_keep_lines_that_follow_one_another(tmp_path):
    content = """WEBVTT

00:01.000 --> 00:02.000
Louder!

00:02.000 --> 00:03.000
Louder!
Louder!
"""
    assert read(tmp_path, content)[0] == [
        Caption("Louder!", 1.0, 2.0),
        Caption("Louder! Louder!", 2.0, 3.0),
    ]


def test_everything_that_webvtt_may_hold_besides_speech(tmp_path):
    content = """WEBVTT - a lesson
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0

STYLE
::cue { color: red }

REGION
id:left

NOTE
00:00.000 is not spoken
nor is this

intro
00:01.000 --> 00:02.000 line:0 position:20%
<v Anna Smith>Hello <b>there</b>, 2 &lt; 3 &amp;&nbsp;4 > 3
Go --> there

NOTE one line

01:00:01.500 --> 01:00:02.000
>> Who?
- Me.\u200b
"""
    assert read(tmp_path, content) == (
        [
            Caption("Hello there, 2 < 3 & 4 > 3 Go --> there", 1.0, 2.0),
            Caption("Who? - Me.", 3601.5, 3602.0),
        ],
        [],
    )


def test_srt_as_people_have_it(tmp_path):
    content = """1
00:00:05,000 --> 00:00:06,5
<i>second</i> {\\an8}line

2
0:0:1.25 --> 0:00:03,000 X1:100 Y1:200
<font color="#fff">first</font>

with an empty line in it
3
00:00:05,500 --> 00:00:09,000
no empty line before this one

4
00:00:09,000 --> 00:00:10,000

5
00:00:10,000 --> 00:00:11,000
100
"""
    assert read(tmp_path, content, "v.srt") == (
        [
            Caption("first with an empty line in it", 1.25, 3.0),
            Caption("second line", 5.0, 6.5),
            Caption("no empty line before this one", 5.5, 9.0),
            Caption("100", 10.0, 11.0),
        ],
        ["left out 1 of its captions, the first at line 15: it holds no word"],
    )


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_cues_with_broken_times_cost_one_caption_each(tmp_path, suffix):
    content = """1
00:00:01,000 --> 00:00:02,000
good

2
00:00:0x,000 --> 00:00:04,000
unreadable

3
00:00:05,000 --> 00:00:04,000
runs back

4
-00:00:01,000 --> 00:00:04,000
negative

5
00:00:07,000 --> 00:00:08,000
good too
"""
    captions, reasons = read(tmp_path, content, f"v.{suffix}")
    assert captions == [Caption("good", 1.0, 2.0), Caption("good too", 7.0, 8.0)]
    assert reasons == [
        "left out 2 of its captions, the first at line 6: its times are not numbers of seconds",
        "left out 1 of its captions, the first at line 10: it ends before it starts",
    ]


def test_a_cut_file_keeps_what_is_whole(tmp_path):
    content = ROLLING[: ROLLING.index("00:00:04.880 -->") + 20]
    captions, reasons = read(tmp_path, content)
    assert captions == SAID[:2]
    assert reasons == [
        "left out 1 of its captions, the first at line 21: its times are not numbers of seconds"
    ]


def test_webvtt_named_srt_is_read_as_what_it_is(tmp_path):
    assert read(tmp_path, ROLLING, "v.SRT")[0] == SAID


def test_cues_of_very_many_lines_are_read(tmp_path):
    """Rolling lines are searched among those on a screen, not among all."""
    lines = [f"line {k % 7}" for k in range(40_000)]
    body = "\n".join(lines)
    times = ("00:01.000 --> 00:02.000", "00:02.000 --> 00:03.000", "00:03.000 --> 00:04.000")
    content = "WEBVTT\n\n" + "\n\n".join(f"{t}\n<00:01.500>{body}" for t in times) + "\n"
    captions, _ = read(tmp_path, content, "v.vtt")
    assert captions[0].text.startswith("line 0 line 1")
