"""A backtest from a file to frames and figures, and what is said when something in the question is wrong."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actors.backtest import Backtest, backtest
from actors.backtest_setup import BacktestRequest, backtest_spec, describe_instrument, parse_slippage
from runtime.backtest.result import FillModel, Slippage
from runtime.errors import InvalidInput
from runtime.market import InstrumentKind, Segment, Timeframe
from runtime.session import ExitMode, SizingMethod

SETTINGS: dict[str, Any] = {"parameters": {"fast_period": "2", "slow_period": "4"}, "quantity": Decimal(10), "fees": "flat:0.001"}


def waves(folder: Path, days: int = 3, name: str = "BANKNIFTY_1m.csv") -> Path:
    """Days of 375 candles that rise and fall with a period of 40 minutes; every candle opens at the close before it."""
    index = pd.DatetimeIndex(
        np.concatenate(
            [pd.date_range(f"{day:%Y-%m-%d} 09:15", periods=375, freq="min") for day in pd.bdate_range("2024-01-01", periods=days)]
        )
    )
    close = np.round(48_000 + 200 * np.sin(np.arange(len(index)) * 2 * np.pi / 40), 2)
    opens = np.concatenate([[48_000.0], close[:-1]])
    frame = pd.DataFrame(
        {"timestamp": index, "open": opens, "high": np.maximum(opens, close) + 5, "low": np.minimum(opens, close) - 5, "close": close}
    )
    frame.to_csv(folder / name, index=False)
    return folder / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    return backtest("ema_cross", waves(tmp_path_factory.mktemp("waves")), zone="Asia/Kolkata", **SETTINGS)


def test_the_frames_add_up_to_the_figures(run: Backtest) -> None:
    trades, equity, metrics = run.trades, run.equity, run.metrics

    assert len(trades) == metrics["trades"] > 50
    assert list(trades.columns) == [
        "entry_time", "exit_time", "side", "instrument", "quantity", "entry_price", "exit_price", "rule", "exit_reason",
        "gross", "fees", "net", "mae", "mfe", "bars_held",
    ]  # fmt: skip
    sign = np.where(trades["side"] == "LONG", 1, -1)
    np.testing.assert_allclose(trades["gross"], (trades["exit_price"] - trades["entry_price"]) * 10 * sign)
    np.testing.assert_allclose(
        trades["fees"], (trades["entry_price"] + trades["exit_price"]) * 10 * 0.001, atol=0.011
    )  # each leg to the paisa
    np.testing.assert_allclose(trades["net"], trades["gross"] - trades["fees"])
    assert metrics["net_profit"] == pytest.approx(trades["net"].sum())
    assert equity["equity"].iloc[-1] == pytest.approx(500_000 + trades["net"].sum())
    assert [str(day.date()) for day in equity.index] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert (equity["drawdown"] <= 0).all()


def test_trades_are_filled_at_the_open_after_the_signal_in_the_exchanges_time(run: Backtest) -> None:
    candles = run.candles
    starts = pd.DatetimeIndex(candles.opened_at.astype("datetime64[s]")).tz_localize("UTC").tz_convert("Asia/Kolkata")
    opens = pd.Series(candles.open, index=starts)

    assert str(run.trades["entry_time"].dt.tz) == "Asia/Kolkata"
    np.testing.assert_array_equal(opens.loc[run.trades["entry_time"]], run.trades["entry_price"])
    assert (run.trades["side"] != run.trades["side"].shift()).all()  # always reversed


def test_only_the_days_asked_for_count(tmp_path: Path) -> None:
    only = backtest("ema_cross", waves(tmp_path), zone="Asia/Kolkata", start=date(2024, 1, 2), end=date(2024, 1, 2), **SETTINGS)

    assert only.result.bars == 375
    assert {str(day) for day in only.trades["entry_time"].dt.date} == {"2024-01-02"}
    assert len(only.equity) == 1


def test_the_same_question_twice_has_the_same_answer_byte_by_byte(tmp_path: Path) -> None:
    files: list[list[bytes]] = []
    for number in range(2):
        again = backtest("ema_cross", waves(tmp_path), zone="Asia/Kolkata", slippage="random:3", seed=5, **SETTINGS)
        outputs = [tmp_path / f"{number}{ending}" for ending in (".parquet", ".csv", ".json")]
        for output in outputs:
            again.write_trades(output)
        again.write_report(tmp_path / f"{number}.html")
        files.append([output.read_bytes() for output in [*outputs, tmp_path / f"{number}.html"]])
    other = backtest("ema_cross", waves(tmp_path), zone="Asia/Kolkata", slippage="random:3", seed=6, **SETTINGS)

    assert files[0] == files[1]
    assert other.result.fingerprint != again.result.fingerprint
    assert other.metrics["net_profit"] != again.metrics["net_profit"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
def test_the_trade_list_comes_back_from_its_file(run: Backtest, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"trades.{ending}"
    run.write_trades(file)

    frame = {"parquet": pd.read_parquet, "csv": pd.read_csv, "json": pd.read_json}[ending](file)
    assert frame["net"].tolist() == pytest.approx(run.trades["net"].tolist())


def test_a_report_is_written_with_what_was_asked(run: Backtest, tmp_path: Path) -> None:
    run.write_report(tmp_path / "report.html")

    assert "<title>ema_cross: backtest</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_files_that_cannot_be_written_are_named(run: Backtest, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"--trades.*must end with one of .parquet, .csv, .json"):
        run.write_trades(tmp_path / "trades.xlsx")
    with pytest.raises(InvalidInput, match=r"--trades.*absent is not a folder"):
        run.write_trades(tmp_path / "absent" / "trades.csv")
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(InvalidInput, match=r"--trades.*cannot be written"):
        run.write_trades(tmp_path / "taken.csv")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"strategy": "moon"}, "strategy = 'moon': is not known"),
        ({"parameters": {"fast": 1}}, "ema_cross.fast = 1: is not a parameter; known are fast_period, slow_period"),
        ({"parameters": {"fast_period": 30}}, r"must be below slow_period \(21\)"),
        ({"capital": Decimal(0)}, "capital = '0': Input should be greater than 0"),
        ({"risk": Decimal(2)}, "sizing.risk_per_trade = '2'"),
        ({"quantity": Decimal(-1)}, "sizing.quantity = '-1'"),
        ({"fees": "cheap"}, "fees = 'cheap'"),
        ({"fees": "flat:2"}, "fees = 'flat:2'"),
        ({"session": {"protection": {"stop": 5}}}, "protection.stop = 5"),
        ({"session": {"nonsense": 5}}, "nonsense = 5: Extra inputs are not permitted"),
        ({"slippage": "a lot"}, "--slippage = 'a lot': write it as"),
        ({"slippage": "1%,2ticks"}, "is either a percentage or ticks"),
        ({"start": date(2024, 2, 1), "end": date(2024, 1, 1)}, "is after the end"),
        ({"tick_size": Decimal(0)}, "tick_size"),
    ],
)
def test_what_is_wrong_in_the_question_is_named_with_its_mend(changes: dict[str, Any], complaint: str) -> None:
    request = BacktestRequest(**{"strategy": "ema_cross", **changes})
    with pytest.raises(InvalidInput, match=complaint):
        backtest_spec(request, "NSE:BANKNIFTY", Timeframe.M1)


def test_settings_as_start_trading_takes_them_hold_in_a_backtest_too() -> None:
    protection = {"stop": {"value": 1, "unit": "PERCENT"}, "square_off": "15:15"}
    request = BacktestRequest(
        strategy="ema_cross", session={"protection": protection, "capital": 100}, capital=Decimal(200), fill=FillModel.CLOSE
    )
    spec = backtest_spec(request, "NSE:BANKNIFTY", Timeframe.M5)

    assert (spec.session.capital, spec.subscription.timeframe, spec.fill) == (200, Timeframe.M5, FillModel.CLOSE)
    assert spec.subscription.protection.stop is not None
    assert (spec.subscription.protection.exit_mode, spec.subscription.protection.stop.value) == (ExitMode.SLTP, 1)
    assert spec.subscription.sizing.method is SizingMethod.FIXED  # one lot, where nothing was said


def test_an_index_is_one_only_for_a_strategy_that_trades_its_options() -> None:
    scalper, cross = BacktestRequest(strategy="index_options_scalper"), BacktestRequest(strategy="ema_cross")

    assert describe_instrument(scalper, "NSE:BANKNIFTY").kind is InstrumentKind.INDEX
    assert describe_instrument(cross, "NSE:BANKNIFTY").kind is InstrumentKind.FUTURE
    pair = describe_instrument(cross, "BTC/USDT")
    assert (pair.kind, pair.segment, pair.currency, pair.lot_size) == (InstrumentKind.SPOT, Segment.CRYPTO, "USDT", Decimal("0.00001"))
    assert describe_instrument(cross, "CME:MES").kind is InstrumentKind.FUTURE
    told = BacktestRequest(strategy="ema_cross", kind=InstrumentKind.EQUITY, lot_size=Decimal(5), tick_size=Decimal("0.01"))
    assert (describe_instrument(told, "NSE:RELIANCE").kind, describe_instrument(told, "NSE:RELIANCE").lot_size) == (
        InstrumentKind.EQUITY,
        5,
    )


@pytest.mark.parametrize(
    ("text", "slippage", "percent"),
    [
        ("0.02%", Slippage(), Decimal("0.02")),
        ("2ticks", Slippage(ticks=2), None),
        ("1tick, random:3", Slippage(ticks=1, random_ticks=3), None),
        ("0%", Slippage(), Decimal(0)),
    ],
)
def test_slippage_is_written_in_three_ways(text: str, slippage: Slippage, percent: Decimal | None) -> None:
    assert parse_slippage(text) == (slippage, percent)


def test_a_history_needs_somebody_who_has_it() -> None:
    with pytest.raises(InvalidInput, match="no store or broker is at hand here"):
        backtest("ema_cross", "upstox:NSE:BANKNIFTY", start=date(2024, 1, 1), end=date(2024, 1, 2))
