"""A real headless browser, where the machine has one."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
PLAY = """
    const done = arguments[arguments.length - 1];
    const sound = document.querySelector('audio');
    sound.addEventListener('ended', () => done(sound.duration));
    sound.addEventListener('error', () => done('error'));
    sound.play().catch(error => done(String(error)));
"""


@contextlib.contextmanager
def opened(page: Path) -> Iterator[Any]:
    """A browser that shows a page; the test is skipped where there is none."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for option in OPTIONS:
        options.add_argument(option)
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        driver.get(page.as_uri())
        yield driver
    finally:
        driver.quit()


def played(browser: Any) -> float | str:
    """Plays the first sound of the page to its end: its seconds, or what went wrong."""
    return browser.execute_async_script(PLAY)


def choose(browser: Any, name: str, value: str) -> None:
    """Chooses a value of a list on the page."""
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", name)).select_by_visible_text(value)
