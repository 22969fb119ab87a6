"""Trades kept on disk are the trades kept in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.trade_folder import TradeFolder
from runtime.backtest.result import BacktestResult
from runtime.backtest.run import run_backtest
from runtime.backtest.trade_columns import BLOCK_TRADES, TradeColumns
from runtime.errors import InvalidInput
from runtime.signals import Side
from strategies import create
from tests.builders import at
from tests.runtime.backtest.samples import Scripted, candles, spec, walk


def reversals(bars: int, kept: TradeColumns | None = None) -> BacktestResult:
    parameters = {"fast_period": 2, "slow_period": 3}
    return run_backtest(spec("ema_cross", parameters), walk(bars, seed=5), create("ema_cross", parameters), kept=kept)


def test_the_result_is_the_same_to_the_last_byte_over_several_blocks(tmp_path: Path) -> None:
    in_memory, on_disk = reversals(35_000), reversals(35_000, TradeFolder(tmp_path / "trades"))

    assert len(on_disk.trades) > 2 * BLOCK_TRADES
    assert (on_disk.metrics, on_disk.fingerprint) == (in_memory.metrics, in_memory.fingerprint)
    for name in in_memory.trades.__struct_fields__:
        mine, theirs = (getattr(result.trades, name) for result in (in_memory, on_disk))
        if isinstance(mine, tuple):
            assert mine == theirs
        else:
            assert (mine.dtype, mine.tobytes()) == (theirs.dtype, theirs.tobytes())
    assert on_disk.equity.equity.tobytes() == in_memory.equity.equity.tobytes()


def test_a_run_without_a_trade_has_an_empty_table(tmp_path: Path) -> None:
    quiet = Scripted({})
    result = run_backtest(
        spec("scripted"), candles([(100.0, 101.0, 99.0, 100.0)] * 3, opened_at=at("10:00")), quiet, kept=TradeFolder(tmp_path / "trades")
    )
    assert (len(result.trades), result.metrics.trades) == (0, 0)


def test_the_files_hold_the_bare_numbers_of_each_column(tmp_path: Path) -> None:
    rows = [(100.0, 101.0, 99.0, 100.0)] * 4
    run_backtest(
        spec("scripted", fees="none"),
        candles(rows, opened_at=at("10:00")),
        Scripted({1: (Side.LONG, None, None)}),
        kept=TradeFolder(tmp_path / "trades"),
    )
    read = {
        name: np.fromfile(tmp_path / "trades" / f"{name}.bin", kind)
        for name, kind in (("entry_bar", "<i8"), ("side", "i1"), ("net", "<f8"))
    }
    assert {name: values.tolist() for name, values in read.items()} == {"entry_bar": [2], "side": [1], "net": [0.0]}


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="is not empty"):
        TradeFolder(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be used"):
        TradeFolder(tmp_path / "file" / "trades")
