"""The page as a reader meets it: opened in a real browser, clicked, typed at, on a wide screen and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.backtest_report import Axis, Column, DataQuality, Finding, Heat, Section, Table, backtest_page, render, write_page
from runtime.backtest.result import FillModel
from runtime.errors import InvalidInput
from tests.adapters.backtest_report.results import candles, result
from tests.browser import Browser, Page

QUALITY = DataQuality(
    summary="X.csv: 5 of 6 rows used", findings=[Finding("exact duplicate row", 1, "dropped", ["<script>alert(1)</script>"])]
)
CLEAN = DataQuality(summary="X.csv: 6 of 6 rows used")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.page()


def written(folder: Path, bars: int, trades: int, **more: Any) -> Path:
    array = candles(bars)
    file = folder / "report.html"
    write_page(backtest_page(result(array, trades=trades, **more), array, QUALITY), file)
    return file


def text(page: Page, selector: str) -> str:
    return page.run(f"document.querySelector({selector!r}).textContent")


def test_a_hundred_thousand_candles_and_their_trades_are_drawn_without_a_complaint(page: Page, tmp_path: Path) -> None:
    file = written(tmp_path, 100_000, 75_000)
    page.open(file)

    data = page.run("({...document.documentElement.dataset})")
    assert (data["ready"], data["bars"], data["trades"], data.get("failed")) == ("true", "100000", "75000", None)
    assert page.run("document.querySelectorAll('#trades tbody tr').length") == 25  # a page of them: the others are no elements
    for chart in ("equity", "candles"):
        drawn = f"Math.max(...[...document.querySelectorAll('#{chart} canvas')].map((canvas) => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size))"
        assert page.run(drawn) > 20  # a blank canvas has one colour
    assert page.complaints == []
    assert page.requests == [file.as_uri()]  # itself and nothing else


def test_the_whole_page_says_what_the_result_holds(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, 3_750, 30, synthetic=True, fill=FillModel.CLOSE))

    assert "SYNTHETIC PRICES" in text(page, "#synthetic")
    assert [badge for badge in text(page, "#badges").split("·") if "OPTIMISTIC" in badge and "SYNTHETIC" in badge]
    assert page.run("document.querySelectorAll('#months tbody tr').length") == 1
    assert page.run("document.querySelectorAll('#distribution rect').length") >= 12
    assert page.run("document.querySelectorAll('#trades tbody tr').length") == 25
    assert "fills at the next candle's open" in text(page, "#assumptions")
    assert "<script>alert(1)</script>" in text(page, "#quality")  # shown, not run
    assert "30 trades" in text(page, "#page")


def test_the_trade_table_is_sorted_filtered_and_turned_by_its_buttons(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, 3_750, 60))
    column = "[...document.querySelectorAll('#trades tbody tr')].map((row) => Number(row.cells[%d].textContent.replace(/[^0-9.−]/g, '').replace('−', '-')))"
    net = page.run("[...document.querySelectorAll('#trades thead th')].findIndex((head) => head.textContent === 'Net')")
    head = f"document.querySelectorAll('#trades thead button')[{net}]"

    page.run("document.querySelector('#next-page').click()")
    assert page.run(column % 0) == list(range(26, 51))
    page.run(f"{head}.click()")
    ascending = page.run(column % net)
    page.run(f"{head}.click()")
    descending = page.run(column % net)
    assert (ascending, descending) == (sorted(ascending), sorted(descending, reverse=True))
    assert ascending[0] < 0 < descending[0]
    assert page.run(f"{head}.closest('th').getAttribute('aria-sort')") == "descending"

    page.run("Object.assign(document.querySelector('#filter'), {value: 'orb short'}).dispatchEvent(new Event('input'))")
    assert "10 trades (of 60)" in text(page, "#page")
    assert page.complaints == []


def test_a_trade_of_the_table_is_shown_on_the_chart_and_the_chart_obeys_the_keyboard(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, 3_750, 60))
    page.run("document.querySelectorAll('#trades button.jump')[3].click()")
    assert text(page, "#trade-position") == "trade 4 of 60"
    assert page.run("document.activeElement.id") == "candles"

    page.until("document.querySelector('#candles-note').textContent.includes('in view')")
    before = int(text(page, "#candles-note").split()[0])
    for _ in range(4):
        page.press("-")
        page.run("new Promise(requestAnimationFrame)")  # the chart moves once a frame
    page.until(f"parseInt(document.querySelector('#candles-note').textContent) > {before}")
    page.run("document.querySelector('#next-trade').click()")
    assert text(page, "#trade-position") == "trade 5 of 60"
    page.run("[...document.querySelectorAll('#resolution button')].find((button) => button.textContent === '1d').click()")
    assert page.run("document.querySelector('#resolution [aria-pressed=true]').textContent") == "1d"
    assert page.complaints == []


def test_a_series_longer_than_one_window_is_walked_through_to_its_first_trade(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, 260_000, 300))
    page.run("document.querySelectorAll('#trades button.jump')[0].click()")

    page.until("/^[1-9]/.test(document.querySelector('#candles-note').textContent)")
    assert page.run("document.documentElement.dataset.bars") == "260000"
    assert page.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_in_light_and_dark(page: Page, tmp_path: Path, dark: bool) -> None:
    page.open(written(tmp_path, 3_750, 30), width=360, height=740, dark=dark, phone=True)

    assert page.run("document.documentElement.scrollWidth") == 360
    background = page.run("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(14, 19, 26)" if dark else "rgb(246, 247, 249)")
    page.run("document.querySelector('#theme').click()")
    assert page.run("getComputedStyle(document.body).backgroundColor") != background
    assert page.complaints == []


def test_every_control_is_reached_by_the_tab_key_and_has_a_name(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, 3_750, 30))
    controls = "[...document.querySelectorAll('button, input, a, [tabindex=\"0\"]')].filter((control) => !control.disabled)"

    assert page.run(f"{controls}.every((control) => control.tabIndex >= 0 || control.closest('.chart'))")
    nameless = f"{controls}.filter((control) => !(control.textContent.trim() || control.ariaLabel || control.getAttribute('aria-labelledby') || control.closest('label') || control.title)).map((control) => control.outerHTML)"
    assert page.run(nameless) == []
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"


def test_without_trades_the_page_leaves_out_what_there_is_not(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, 750, 0))

    assert page.run("document.querySelector('#distribution')") is None
    assert "0 trades" in text(page, "#page")
    assert page.complaints == []


def test_more_sections_hold_heat_maps_and_tables(page: Page, tmp_path: Path) -> None:
    heat = Heat(x=Axis("slow", [20, 30]), y=Axis("fast", [5]), values=[[1.5, None]])
    table = Table(columns=[Column("window"), Column("net", "money", signed=True)], rows=[["first", -5.0]])
    array, file = candles(750), tmp_path / "report.html"
    write_page(
        backtest_page(result(array, trades=2), array, CLEAN, sections=[Section(title="More", note="why", heat=heat, table=table)]), file
    )
    page.open(file)

    assert text(page, "#extra .heat tbody") == "51.50"
    assert text(page, "#extra .data tbody") == "first−5.00"
    assert "Nothing was wrong" in text(page, "#quality")
    assert page.complaints == []


def test_equal_results_give_equal_files_and_what_is_in_them_cannot_break_out() -> None:
    array = candles(750)
    one, other = (render(backtest_page(result(array, trades=4, instrument="</script><b>"), array, QUALITY)) for _ in range(2))

    assert one == other
    assert one.count("</script>") == 3  # data, library, page
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in one


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    array = candles(750)
    with pytest.raises(InvalidInput, match=r"--report.*cannot be written"):
        write_page(backtest_page(result(array, trades=1), array, CLEAN), tmp_path / "absent" / "report.html")
