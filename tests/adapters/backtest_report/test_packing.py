"""What is packed is what a reader of the documented layout finds."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from adapters.backtest_report.backtest import pack_bars
from adapters.backtest_report.packing import decimals_of, pack
from runtime.backtest.candle_array import CandleArray
from runtime.market import IST, Timeframe
from tests.adapters.backtest_report.results import candles


def unpack(text: str) -> Any:
    """A second reader of the layout, as `assets/data.js` is in the browser."""
    content = zlib.decompress(b64decode(text))
    (length,) = struct.unpack_from("<I", content)
    arrays_at = -(-(4 + length) // 8) * 8

    def revive(value: dict[str, Any]) -> Any:
        if "$array" not in value:
            return value
        offset, count, kind = value["$array"]
        return np.frombuffer(content, np.dtype(f"<{kind}"), count, arrays_at + offset)

    return json.loads(content[4 : 4 + length], object_hook=revive)


@given(some.lists(some.integers(-(2**31), 2**31 - 1)), some.lists(some.floats(allow_nan=False)), some.text())
def test_arrays_and_text_come_out_as_they_went_in(whole: list[int], broken: list[float], text: str) -> None:
    found = unpack(pack({"text": text, "whole": np.array(whole, np.int64), "deep": [{"broken": np.array(broken, np.float64)}]}))

    assert found["text"] == text
    assert found["whole"].tolist() == whole
    assert found["deep"][0]["broken"].tolist() == broken


@pytest.mark.parametrize(("largest", "kind"), [(127, "i1"), (128, "i2"), (32_767, "i2"), (32_768, "i4"), (2**31 - 1, "i4")])
def test_whole_numbers_travel_in_the_shortest_form_that_holds_them(largest: int, kind: str) -> None:
    values = np.array([-largest - 1, 0, largest], np.int64)
    found = unpack(pack({"values": values}))["values"]
    assert found.tolist() == values.tolist()
    assert found.dtype == np.dtype(f"<{kind}")


def test_what_has_no_place_on_a_page_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="complex has no place"):
        pack({"value": 1j})


def test_bars_come_back_to_the_last_digit() -> None:
    array = candles(900)
    bars = unpack(pack(pack_bars(array)))

    close = np.cumsum(bars["close"])
    opens = bars["open"] + np.append(0, close[:-1])
    assert (bars["scale"], bars["seconds"]) == (100, 60)
    np.testing.assert_array_equal(np.cumsum(bars["time"]), array.opened_at + 19_800)  # India is 5:30 h ahead
    np.testing.assert_array_equal(opens / 100, array.open)
    np.testing.assert_array_equal(close / 100, array.close)
    np.testing.assert_array_equal((np.maximum(opens, close) + bars["high"]) / 100, array.high)
    np.testing.assert_array_equal((np.minimum(opens, close) - bars["low"]) / 100, array.low)


@pytest.mark.parametrize(
    ("prices", "decimals"),
    [([100.0, 7.0], 0), ([100.5], 1), ([0.05, 48_000.35], 2), ([1.23456], 5), ([0.1 + 0.2], 1), ([1 / 3], 8), ([9e8], 0), ([], 0)],
)
def test_decimals_are_as_few_as_write_the_price(prices: list[float], decimals: int) -> None:
    assert decimals_of(np.array(prices)) == decimals


def test_a_price_that_would_not_fit_is_written_with_fewer_decimals() -> None:
    assert decimals_of(np.array([3_000_000.123456])) == 2  # 300,000,012 fits into 31 bits, 3,000,000,123 does not
    array = CandleArray.of("X", Timeframe.M1, IST, np.array([0]), np.array([[3e6 + 1 / 3] * 4]))
    assert pack_bars(array).close.tolist() == [300_000_033]
