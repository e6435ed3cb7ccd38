"""TTML, YouTube's srv1 to srv3, SBV and ASS; unsupported forms are named."""

from itertools import pairwise

import pytest

from vatt_gh.media.captions import Caption, CaptionFileError, read_captions
from vatt_gh.media.library import scan

CAPTIONS = [Caption("mix the glaze", 1.5, 4.0), Caption("salt & pepper", 62.25, 65.0)]


def read(tmp_path, content, name):
    path = tmp_path / name
    path.write_text(content)
    return read_captions(path)


def ttml(body, root='xmlns="http://www.w3.org/ns/ttml"'):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<tt {root}><head/><body>{body}</body></tt>'


TTP = 'xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" '
LAST = "salt &amp; pepper"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "v.ttml",  # as on YouTube
            ttml(
                '<div><p begin="00:00:01.500" end="00:00:04.000" style="s2">mix<br/>the glaze</p>'
                f'<p begin="00:01:02.250" end="00:01:05.000">{LAST}</p></div>'
            ),
        ),
        (
            "v.dfxp",  # nested times, in ticks, frames and other units
            ttml(
                '<div begin="1s"><p begin="5000000t" dur="2500ms">'
                "<span>mix the</span> glaze</p></div>"
                f'<div begin="1m"><p begin="00:00:02:06" end="00:00:05:00">{LAST}</p></div>',
                TTP + 'ttp:tickRate="10000000" ttp:frameRate="24"',
            ),
        ),
        (
            "v.xml",  # an old namespace; spans with their own times
            ttml(
                '<p><span begin="1.5s" end="4s">mix the glaze</span> '
                f'<span begin="62.25s" dur="2.75s">{LAST}</span></p>',
                'xmlns="http://www.w3.org/2006/10/ttaf1"',
            ),
        ),
        (
            "v.srv3",
            '<?xml version="1.0" encoding="utf-8" ?><timedtext format="3">'
            '<head><pen id="1"/></head>'
            '<body><w t="0" id="1"/><p t="1500" d="4000" w="1"><s ac="0">mix</s><s t="320"> the</s>'
            '<s> glaze</s></p><p t="4000" d="1500" w="1" a="1">\n</p>'
            f'<p t="62250" d="2750">{LAST}</p></body></timedtext>',
        ),
        (
            "v.srv2",
            f'<timedtext><text t="1500" d="2500">mix\nthe glaze</text>'
            f'<text t="62250" d="2750">{LAST}</text></timedtext>',
        ),
        (
            "v.en.srv1",
            '<?xml version="1.0"?><transcript><text start="1.5" dur="2.5">mix the glaze</text>'
            '<text start="62.25" dur="2.75">salt &amp;amp; pepper</text>'
            "</transcript>",
        ),
        (
            "v.sbv",
            "0:00:01.500,0:00:04.000\nmix the\nglaze\n\n0:01:02.250,0:01:05.000\n"
            "salt &amp; pepper\n",
        ),
        (
            "v.ass",
            "[Script Info]\nTitle: x\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: A,Arial\n\n"
            "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, "
            "Text\n"
            "Dialogue: 0,0:00:01.50,0:00:04.00,A,,0,0,0,,{\\an8\\fad(2,0)}mix\\Nthe {\\i1}glaze\n"
            "Dialogue: 0,0:01:02.25,0:01:05.00,Default,,0,0,0,,salt &amp; pepper\n"
            "Comment: 0,0:00:09.00,0:00:10.00,Default,,0,0,0,,not said\n"
            "Dialogue: 0,0:00:09.00,0:00:10.00,Sign,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}\n",
        ),
        (
            "v.ssa",  # with fields in another order
            "[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.50,0:00:04.00,mix the glaze\n"
            "Dialogue: 0:01:02.25,0:01:05.00,salt &amp; pepper\n",
        ),
    ],
)
def test_each_form_says_what_it_says(tmp_path, name, content):
    assert read(tmp_path, content, name) == (CAPTIONS, [])


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        (
            "v.ttml",
            ttml('<p begin="soon" end="2s">a</p><p begin="2s" end="3s">good</p>'),
            "paragraph 1",
        ),
        (
            "v.srv3",
            '<timedtext><body><p t="x" d="1">a</p><p t="2000" d="1000">good</p></body></timedtext>',
            "event 1",
        ),
        (
            "v.srv1",
            '<transcript><text dur="1">a</text><text start="2" dur="1">good</text></transcript>',
            "line 1",
        ),
        (
            "v.ass",
            "[Events]\nDialogue: 0,soon,0:00:03.00,D,,0,0,0,,a\n"
            "Dialogue: 0,0:00:02.00,0:00:03.00,D,,0,0,0,,good, and more\n",
            "line 2",
        ),
    ],
)
def test_one_bad_time_costs_its_caption(tmp_path, name, content, place):
    captions, reasons = read(tmp_path, content, name)
    assert [(c.start, c.end, c.text.split(",")[0]) for c in captions] == [(2.0, 3.0, "good")]
    assert reasons == [
        f"left out 1 of its captions, the first at {place}: its times are not numbers of seconds"
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("v.ttml", "<tt><body></tt>", "is not XML"),
        ("v.xml", "<annotation/>", "is XML with the root 'annotation'"),
        ("v.ttml", ttml('<div begin="x"><p>a</p></div>'), "is TTML with a <div> at 'x'"),
        ("v.ttml", ttml('<div timeContainer="seq"/>'), "is TTML in which times follow one another"),
        (
            "v.ttml",
            ttml("", TTP + 'ttp:frameRate="0"'),
            "is TTML whose rates are no numbers above 0",
        ),
        ("v.sbv", "only words\n", 'holds no line "START,END"'),
        ("v.ass", "[Script Info]\n", "holds no .Events."),
        ("v.txt", "words", "is none of .csv, .tsv"),
    ],
)
def test_files_of_no_such_form_say_why(tmp_path, name, content, reason):
    with pytest.raises(CaptionFileError) as caught:
        read(tmp_path, content, name)
    assert caught.value.reason.startswith(reason.replace(".Events.", "[Events]"))


def test_entities_that_grow_are_refused(tmp_path):
    names = "abcdefghij"
    lines = [f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names)]
    bomb = f'<!DOCTYPE tt [<!ENTITY a "{"x" * 1000}">{"".join(lines)}]><tt>&j;</tt>'
    with pytest.raises(CaptionFileError, match="is not XML"):
        read(tmp_path, bomb, "v.ttml")


def test_a_file_in_a_form_that_is_not_read_is_named(tmp_path):
    for folder, names in {
        "videos": ("a.mp4", "a.smi", "a.txt", "a.xml", "a.jpg", "a.en.srt.bak", "b.txt", "a.mp3"),
        "captions": ("a.ttml", "a.lrc", "a.txt", "b.ttml", "a.info.json"),
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text("")
    library = scan(tmp_path)
    named = {row["path"]: row["reason"].split(":")[0] for row in library.skipped}
    unread = "is in a form of captions that is not read"
    assert {str(path).removeprefix(f"{tmp_path}/"): why for path, why in named.items()} == {
        "captions/b.ttml": "has captions of b, and there is no such video file",
        "captions/a.lrc": unread,
        "captions/a.txt": unread,
        "videos/a.smi": unread,
        "videos/a.txt": unread,
        "videos/a.en.srt.bak": unread,
        "videos/a.mp3": "is sound alone, and this set is of videos",
        "videos/a.xml": f"is of the same video a as {tmp_path}/captions/a.ttml",
    }
