"""The page in a real browser, opened as a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.report.page.write import write_page

from .browser import Tab, browser_program, chromium
from .pages import CONTRACT, large_run
from .test_page import HOSTILE, run_saying

VISIBLE = "[...document.querySelectorAll('.item')].filter(e => e.checkVisibility()).map(e => e.id)"
MARKED = "document.querySelector('.item.at')?.id"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = browser_program()
    if program is None and not os.environ.get("CI"):
        pytest.skip("no browser is found: install chromium")
    assert program is not None, "no browser is found, and in CI that is a failure: install chromium"
    with chromium(program, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(large_run(), CONTRACT, tmp_path_factory.mktemp("reports")).as_uri()


@pytest.fixture(autouse=True)
def nothing_but_the_page_was_asked_for(tab: Tab) -> Iterator[None]:
    yield
    assert [address for address in tab.requested if not address.startswith("data:image/svg+xml,")] == [
        tab.evaluate("location.href.split('#')[0]")
    ]
    assert tab.complaints == []


def test_the_page_says_what_the_run_came_to(tab: Tab, page: str) -> None:
    tab.goto(page)

    assert tab.evaluate("document.querySelector('h1').innerText") == "Does not conform"
    assert tab.evaluate("document.getElementById('shown').textContent") == "325 in all"
    assert len(tab.evaluate(VISIBLE)) == 325
    assert tab.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight") == "700"


def test_a_large_page_opens_fast(tab: Tab, page: str) -> None:
    tab.goto(page)

    milliseconds = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert 0 < milliseconds < 5000  # a tenth of it on a computer that has nothing else to do


def test_an_address_opens_what_it_names(tab: Tab, page: str) -> None:
    tab.goto(f"{page}#HEAL-1")

    assert tab.evaluate(MARKED) == "HEAL-1"
    assert tab.evaluate("document.getElementById('HEAL-1').open") is True
    assert tab.evaluate("document.getElementById('HEAL-2').open") is False
    top = tab.evaluate("document.getElementById('HEAL-1').getBoundingClientRect().top")
    assert 0 < top < 200


def test_an_address_filters(tab: Tab, page: str) -> None:
    tab.goto(f"{page}#q=auto_heal.test_what%20minimal-1&verdict=fail")

    assert tab.evaluate(VISIBLE) == ["auto_heal.test_what_must_hold_0_holds_whatever_comes-minimal-1"]
    assert tab.evaluate("document.getElementById('shown').textContent") == "1 of 325"
    assert tab.evaluate("document.querySelector('[data-row=\"HEAL-1\"]').checkVisibility()") is False


def test_a_link_to_what_the_filter_hides_ends_the_filter(tab: Tab, page: str) -> None:
    tab.goto(f"{page}#verdict=fail")
    tab.evaluate("location.hash = '#HEAL-1'; new Promise(done => setTimeout(done, 100))")

    assert tab.evaluate(MARKED) == "HEAL-1"
    assert len(tab.evaluate(VISIBLE)) == 325


def test_keys_filter_walk_and_open(tab: Tab, page: str) -> None:
    tab.goto(page)

    tab.press("/", *"heal-", "Enter")
    first = tab.evaluate(MARKED)
    tab.press("j")
    second = tab.evaluate(MARKED)
    tab.press("Enter")

    shown = tab.evaluate(VISIBLE)
    assert [first, second] == shown[:2]
    assert tab.evaluate(f"document.getElementById('{second}').open") is True
    assert tab.evaluate("location.hash") == "#q=heal-"
    tab.press("k")
    assert tab.evaluate(MARKED) == first
    tab.press("Escape")
    assert len(tab.evaluate(VISIBLE)) == 325
    assert tab.evaluate("location.hash") == ""


def test_a_filter_that_matches_nothing_says_so(tab: Tab, page: str) -> None:
    tab.goto(page)
    assert tab.evaluate("document.getElementById('nothing').checkVisibility()") is False

    tab.press("/", *"no such thing")
    assert tab.evaluate("document.getElementById('nothing').checkVisibility()") is True

    tab.evaluate("document.getElementById('clear').click()")
    assert len(tab.evaluate(VISIBLE)) == 325


def test_help_names_the_keys(tab: Tab, page: str) -> None:
    tab.goto(page)

    tab.press("?")

    assert tab.evaluate("document.getElementById('help').open") is True
    assert "next, previous" in tab.evaluate("document.getElementById('help').innerText")


def test_the_theme_follows_the_computer_until_it_is_turned(tab: Tab, page: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    tab.goto(page)
    dark = tab.evaluate(ground)
    tab.press("t")
    light = tab.evaluate(ground)
    tab.goto(page)
    remembered = tab.evaluate(ground)
    tab.evaluate("localStorage.clear()")

    assert (dark, light, remembered) == ("rgb(20, 23, 27)", "rgb(255, 255, 255)", "rgb(255, 255, 255)")


CONTRAST = """
(() => {
  const light = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    const linear = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return a === 0 ? null : 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => element
    ? light(getComputedStyle(element).backgroundColor) ?? ground(element.parentElement) : 1;
  const poor = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility() || element.closest("svg")) continue;
    const [a, b] = [light(getComputedStyle(element).color) ?? 0, ground(element)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.add(`${element.tagName}.${element.className}`);
  }
  return [...poor];
})()
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_word_can_be_told_from_its_ground(tab: Tab, page: str, theme: str) -> None:
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    tab.goto(page)
    tab.evaluate("for (const item of document.querySelectorAll('.item.fail')) item.open = true")
    tab.evaluate("for (const chip of document.querySelectorAll('.chip')) chip.ariaPressed = 'true'")

    assert tab.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_nothing_sticks_out_of_any_screen(tab: Tab, page: str, width: int) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    try:
        tab.goto(page)
        tab.evaluate("for (const item of document.querySelectorAll('.item.fail')) item.open = true")

        assert (
            tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        )
    finally:
        tab.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_ledger_runs(tab: Tab, text: str, tmp_path: Path) -> None:
    tab.goto(write_page(run_saying(text), CONTRACT, tmp_path).as_uri())

    assert tab.evaluate("document.scripts.length") == 1
    assert tab.evaluate("document.querySelectorAll('img, iframe, [onload], [onerror]').length") == 0
    assert tab.evaluate("document.querySelectorAll('.item').length") == len(CONTRACT.requirements) + 2
