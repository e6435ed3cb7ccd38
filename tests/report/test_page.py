"""The page: its contents, escapes, link targets, and rejections."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from made_up_runs import make_rows

from vatt_gh.errors import UserError
from vatt_gh.report.page import ScoreRow, flatten_scores, write_page
from vatt_gh.report.plots import loss_curves

RESULTS = {
    "retrieval": {
        "r1": {"value": 0.25, "chance": 0.0625, "untrained": 0.125, "ceiling": 0.75},
        "median_rank": {"value": 4.0, "chance": 8.5},
    },
    "probe": {"video": {"accuracy": {"value": float("nan"), "chance": 0.125}}},
    "steps": 2000,
    "seconds": None,
    "finished": True,
    "device": "2 CPU devices",
}


class Page(HTMLParser):
    """Collects a page's tags, link targets, text and table rows."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in ("href", "src")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.words.append(data)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def write(workdir, **changes) -> Page:
    arguments = {"title": "a run", "summary": [], "pictures": [], "results": {}} | changes
    path = write_page(workdir, **arguments)
    assert path == workdir / "index.html"
    return Page(path.read_text(encoding="utf-8"))


def test_plain_vatt_has_a_column_where_it_is_known(tmp_path):
    shown = [row for row in write(tmp_path, results=RESULTS).rows if row[:2] == ["", "measure"]]
    assert shown == [["", "measure", "value", "chance", "untrained", "ceiling", "better is"]]
    beside = {"retrieval": {"r1": RESULTS["retrieval"]["r1"] | {"plain": 0.1875}}}
    head, row = write(tmp_path, results=beside).rows[-2:]
    assert row[head.index("plain")] == "0.1875" and row[head.index("ceiling")] == "0.75"


def test_scores_are_flattened():
    assert flatten_scores(RESULTS) == [
        ScoreRow("retrieval", "r1", 0.25, 0.0625, 0.125, 0.75),
        ScoreRow("retrieval", "median_rank", 4.0, 8.5),
        ScoreRow("probe / video", "accuracy", None, 0.125),
        ScoreRow("", "steps", 2000.0),
        ScoreRow("", "seconds", None),
    ]


def test_direction():
    assert [ScoreRow("", name, 1, 1).better for name in ("r1", "median_rank")] == ["more", "less"]


def test_table_shows_value_beside_its_references(tmp_path):
    rows = write(tmp_path, results=RESULTS).rows
    assert ["", "measure", "value", "chance", "untrained", "ceiling", "better is"] in rows
    assert ["retrieval", "r1", "0.25", "0.0625", "0.125", "0.75", "more"] in rows
    assert ["retrieval", "median_rank", "4", "8.5", "", "", "less"] in rows
    assert ["probe / video", "accuracy", "not measured", "0.125", "", "", "more"] in rows
    assert ["", "steps", "2000", "", "", "", ""] in rows


def test_without_scores_the_page_says_so(tmp_path):
    assert "This run measured no scores." in write(tmp_path).words


def test_everything_is_escaped(tmp_path):
    evil = '<script>alert("&amp;")</script>'
    loss_curves(make_rows(3), tmp_path / "a.png")
    page = write(
        tmp_path,
        title=evil,
        summary=[(evil, evil)],
        pictures=[("a.png", evil, evil)],
        results={evil: {evil: {"value": 1.0, "chance": 0.5}}},
    )
    assert "script" not in page.tags
    assert sum(evil in words for words in page.words) == 8
    assert 'alt="&lt;script&gt;alert(&quot;' in (tmp_path / "index.html").read_text()


def test_links_lead_to_the_pictures_and_nowhere_else(tmp_path):
    names = ["pictures/loss.png", "pictures/50% of #1?.png"]
    for name in names:
        loss_curves(make_rows(3), tmp_path / name)
    page = write(tmp_path, pictures=[(name, "Losses", "All of them.") for name in names])
    assert [unquote(target) for target in page.targets] == [name for name in names for _ in "ab"]
    for target in page.targets:
        assert not {"#", "?", ":"} & set(target)
        assert (tmp_path / unquote(target)).is_file()
    assert not {"script", "link", "iframe"} & set(page.tags)


@pytest.mark.parametrize("name", ["pictures/nothing.png", "pictures", "../a.png", "/etc/hostname"])
def test_refuses_a_picture_that_would_be_a_broken_link(tmp_path, name):
    workdir = tmp_path / "work"
    (workdir / "pictures").mkdir(parents=True)
    loss_curves(make_rows(3), tmp_path / "a.png")
    with pytest.raises(UserError) as caught:
        write(workdir, pictures=[(name, "A", "B")])
    assert name in caught.value.where
    assert not (workdir / "index.html").exists()
