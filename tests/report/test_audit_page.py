"""The page of an audit in a real browser: filter, sort, look, play, next page."""

import wave

import numpy as np
import pytest
from browser import choose, opened, played

from vatt_gh.report.audit import Shown, write_audit_page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    import cv2

    folder = tmp_path_factory.mktemp("page")
    (folder / "clips").mkdir()
    cv2.imwrite(str(folder / "clips" / "a.jpg"), np.full((24, 72, 3), 90, np.uint8))
    with wave.open(str(folder / "clips" / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(800, np.int16).tobytes())
    clips = [
        Shown(
            video_id=f"video{k}",
            start=float(k),
            end=k + 1.0,
            caption="</script><b>bold</b>" if k == 3 else f"says {k}",
            picture="clips/a.jpg",
            sound="clips/a.wav" if k % 2 else None,
            measures={"loss_text": 60.0 - k, "loss_audio": float(k) if k % 2 else float("nan")},
            percentiles={"loss_text": float(k), "loss_audio": 60.0 - k if k % 2 else float("nan")},
        )
        for k in range(60)
    ]
    measures = {"loss_text": np.arange(60.0), "loss_audio": np.full(60, np.nan)}
    videos = [
        {"video_id": f"<i>{k}</i>", "clips": 3, "loss_text": k + 0.25, "loss_audio": None}
        for k in range(12)
    ]
    return write_audit_page(folder, measures, clips, videos, {"clips": 1000})


@pytest.fixture(scope="module")
def browser(page):
    with opened(page) as driver:
        yield driver


def captions(browser):
    """Of the shown cards, in their order."""
    cards = browser.find_elements("css selector", ".clip")
    return [c.text.replace("no sound\n", "").split("\n")[0] for c in cards]


@pytest.fixture
def fresh(browser, page):
    browser.get(page.as_uri())
    return browser


def test_the_worst_come_first_and_pages_turn(fresh):
    first = captions(fresh)
    assert len(first) == 24 and first[:3] == ["says 0", "says 1", "says 2"]
    assert "page 1 of 3, 60 clips" in fresh.find_element("id", "where").text
    assert not fresh.find_element("id", "previous").is_enabled()
    fresh.find_element("id", "next").click()
    assert captions(fresh)[0] == "says 24"
    fresh.find_element("id", "next").click()
    assert len(captions(fresh)) == 12
    assert not fresh.find_element("id", "next").is_enabled()
    fresh.find_element("id", "previous").click()
    assert captions(fresh)[0] == "says 24"


def test_the_worst_videos_are_in_a_table(fresh):
    rows = fresh.find_elements("css selector", "table.scores tr")
    assert [row.text for row in rows[:2]] == [
        "video_id clips loss_text loss_audio",
        "<i>0</i> 3 0.250",
    ]
    assert len(rows) == 11 and "The worst 10 of 12" in fresh.page_source


def test_a_caption_is_text_and_no_markup(fresh):
    assert captions(fresh)[3] == "</script><b>bold</b>"


def test_order_and_measure_are_chosen(fresh):
    choose(fresh, "order", "best")
    assert captions(fresh)[:2] == ["says 59", "says 58"]
    choose(fresh, "measure", "loss_audio")
    assert captions(fresh)[:2] == ["says 1", "</script><b>bold</b>"]
    assert "30 clips" in fresh.find_element("id", "where").text  # those with sound


def test_the_filter_finds_videos_and_words(fresh):
    fresh.find_element("id", "next").click()
    box = fresh.find_element("id", "filter")
    box.send_keys("VIDEO5")
    assert len(captions(fresh)) == 11
    assert "page 1 of 1" in fresh.find_element("id", "where").text
    box.clear()
    box.send_keys("says 17")
    assert captions(fresh) == ["says 17"]
    box.send_keys("nothing")
    assert captions(fresh) == []
    assert "0 clips" in fresh.find_element("id", "where").text


def test_pictures_are_there_and_sound_plays(fresh):
    assert played(fresh) == pytest.approx(0.1, abs=0.01)
    assert fresh.find_element("css selector", ".clip img").get_property("naturalWidth") == 72
    assert fresh.execute_script("return document.images[0].naturalWidth") == 1000
