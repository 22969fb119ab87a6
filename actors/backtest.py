"""A backtest as one Python call: candles and a strategy in, pandas frames, figures and a report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from actors.backtest_setup import BacktestRequest, backtest_spec
from actors.candle_source import CandleRequest, History, load_candles
from actors.option_market import OptionData, StoredChains, option_data, option_market
from actors.strategy_source import create_strategy
from adapters.backtest_report import DataQuality, Finding, Page, Section, backtest_page, write_page
from adapters.candle_files import CandleFile, QualityReport
from adapters.trade_folder import TradeFolder
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult
from runtime.backtest.run import Progress, run_backtest
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidInput
from runtime.market import InstrumentId

if TYPE_CHECKING:
    import pandas as pd

SIDES = {1: "LONG", -1: "SHORT"}


class Backtest:
    """A finished backtest.

    `result` is all of it as the runtime tells it; `trades` and `equity` are the same as frames, `metrics` as a dictionary
    (money in the instrument's currency, rates as fractions, None where a figure is not defined).
    """

    def __init__(self, result: BacktestResult, candles: CandleArray, quality: QualityReport) -> None:
        self.result = result
        self.candles = candles
        self.quality = quality

    @property
    def metrics(self) -> dict[str, float | int | None]:
        return msgspec.to_builtins(self.result.metrics)

    @property
    def trades(self) -> pd.DataFrame:
        """One row per closed trade, in order of exits; times are aware, in the exchange's zone."""
        import pandas as pd

        table = self.result.trades
        columns: dict[str, Any] = {
            "entry_time": self._local(table.entry_time),
            "exit_time": self._local(table.exit_time),
            "side": [SIDES[side] for side in table.side.tolist()],
            "instrument": [table.instruments[code] for code in table.instrument.tolist()],
            "quantity": table.quantity,
            "entry_price": table.entry_price,
            "exit_price": table.exit_price,
            "rule": [table.rules[code] for code in table.rule.tolist()],
            "exit_reason": [table.exit_reasons[code] for code in table.exit_reason.tolist()],
            "gross": table.gross,
            "fees": table.fees,
            "net": table.net,
            "mae": table.mae,
            "mfe": table.mfe,
            "bars_held": table.bars_held,
        }
        return pd.DataFrame(columns)

    @property
    def equity(self) -> pd.DataFrame:
        """`equity` and `drawdown` (fraction below the peak so far, zero or less) per trading day, indexed by date."""
        import numpy as np
        import pandas as pd

        curve = self.result.equity
        peaks = np.maximum(np.maximum.accumulate(curve.equity), float(self.result.spec.session.capital))
        index = pd.DatetimeIndex(curve.day.astype("datetime64[s]"), name="day")
        return pd.DataFrame({"equity": curve.equity, "drawdown": curve.equity / peaks - 1.0}, index=index)

    def write_report(self, path: Path | str) -> None:
        """One self-contained HTML file. Raises `InvalidInput` when it cannot be written."""
        write_page(self.page(), Path(path))

    def page(self, sections: Sequence[Section] = ()) -> Page:
        """The report, with more sections in it."""
        spec = self.result.spec
        settings: dict[str, Any] = {
            "strategy": spec.subscription.strategy,
            **msgspec.to_builtins(spec.subscription.parameters),
            "capital": spec.session.capital,
            "sizing": msgspec.to_builtins(spec.subscription.sizing),
            "protection": msgspec.to_builtins(spec.subscription.protection),
            "fees": spec.session.fees,
            "fill": spec.fill,
            "slippage_percent": spec.session.slippage_percent,
            "slippage": msgspec.to_builtins(spec.slippage),
            "lot_size": spec.instrument.lot_size,
            "tick_size": spec.instrument.tick_size,
            "seed": spec.seed,
        }
        return backtest_page(self.result, self.candles, data_quality(self.quality), settings=settings, sections=sections)

    def write_trades(self, path: Path | str) -> None:
        """Parquet, CSV or JSON, by the file's ending. Raises `InvalidInput`, see `write_table`."""
        write_table("--trades", Path(path), self.trades)

    def summary(self) -> dict[str, Any]:
        """What `shoal backtest --json` prints: equal for equal runs, so without the time it took."""
        result = self.result
        return {
            "strategy": result.spec.subscription.strategy,
            "parameters": msgspec.to_builtins(result.spec.subscription.parameters),
            "instrument": result.spec.instrument.id,
            "timeframe": str(result.spec.subscription.timeframe),
            "fingerprint": result.fingerprint,
            "synthetic": result.synthetic,
            "bars": result.bars,
            "bars_woken": result.bars_woken,
            "orders": result.orders,
            "signals": result.signals,
            "skipped": result.skipped,
            "metrics": self.metrics,
            "assumptions": list(result.assumptions),
            "quality": quality_json(self.quality),
        }

    def _local(self, times: Any) -> pd.DatetimeIndex:
        import pandas as pd

        return pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(str(self.candles.zone))


def backtest(
    strategy: str,
    candles: str | Path,
    *,
    parameters: Mapping[str, object] | None = None,
    instrument: InstrumentId | None = None,
    start: date | None = None,
    end: date | None = None,
    zone: str | None = None,
    histories: Callable[[str], History] | None = None,
    chains: StoredChains | None = None,
    progress: Progress | None = None,
    trades_folder: Path | None = None,
    **settings: Any,
) -> Backtest:
    """Run a strategy over candles.

    Args:
        strategy: its name, or a file `my_strategy.py:MyStrategy`.
        candles: a file, or `store:INSTRUMENT`, or `BROKER:INSTRUMENT` with `histories`.
        parameters: the strategy's own.
        instrument: what the file holds, where its name does not tell.
        start: first exchange date that counts; what is before it is warm-up.
        end: last one, included.
        zone: IANA name, where the file's times have none.
        histories: gives the history of the store or of a broker by name.
        chains: gives recorded option chains of the store, for the setting `chains="store"`.
        progress: told (candles done, candles in all) now and then.
        trades_folder: a new folder to keep the trades in, for runs of millions: memory then does not grow with their number. Yours to
            delete when the result is no longer used.
        **settings: the other fields of `actors.backtest_setup.BacktestRequest`: capital, risk, quantity, fees, slippage, fill, lane, seed, …

    Raises:
        InvalidInput: names what is wrong and how to mend it.

    Example::

        run = backtest("ema_cross", "BANKNIFTY.parquet", parameters={"fast_period": 5}, capital=Decimal(500_000))
        run.trades.groupby("rule").net.sum()
        run.write_report("report.html")
    """
    source = CandleRequest(source=str(candles), instrument=instrument, start=start, end=end, zone=zone)
    file, calendar = load_candles(source, histories or _no_histories)
    request = BacktestRequest(strategy=strategy, parameters=parameters or {}, start=start, end=end, **settings)
    options = option_data(request, file.instrument, file.array(), chains)
    return run_on(request, file, calendar, options, progress=progress, trades_folder=trades_folder)


def run_on(
    request: BacktestRequest,
    file: CandleFile,
    calendar: ExchangeCalendar | None,
    options: OptionData | None,
    *,
    finer: CandleArray | None = None,
    progress: Progress | None = None,
    trades_folder: Path | None = None,
) -> Backtest:
    """Run over candles that are read already, `options` of `option_data`, and `finer` candles as `run_backtest` takes them.

    `trades_folder` as of `backtest`.
    """
    candles = file.array()
    spec = backtest_spec(request, file.instrument, file.timeframe)
    started = time.perf_counter()
    result = run_backtest(
        spec,
        candles,
        create_strategy(request.strategy, request.parameters),
        calendar=calendar,
        options=option_market(request, spec.instrument, candles, options),
        finer=finer,
        quality=[*file.report.lines(), *(() if options is None else options.quality)],
        progress=progress,
        kept=None if trades_folder is None else TradeFolder(trades_folder),
    )
    return Backtest(msgspec.structs.replace(result, seconds=time.perf_counter() - started), candles, file.report)


_TABLE_FILES = (".parquet", ".csv", ".json")


def check_table(option: str, path: Path | None) -> None:
    """Raises `InvalidInput` naming the option where `write_table` would: before the work rather than after it."""
    if path is None:
        return
    if path.suffix not in _TABLE_FILES:
        raise InvalidInput(option, str(path), f"must end with one of {', '.join(_TABLE_FILES)}")
    if not path.resolve().parent.is_dir():
        raise InvalidInput(option, str(path), f"{path.resolve().parent} is not a folder")


def write_table(option: str, path: Path | None, frame: pd.DataFrame) -> None:
    """Parquet, CSV or JSON, by the file's ending; nothing without a path.

    Raises:
        InvalidInput: another ending, or it cannot be written there; names the option.
    """
    check_table(option, path)
    if path is None:
        return
    write: Mapping[str, Callable[[], object]] = {
        ".parquet": lambda: frame.to_parquet(path, index=False),
        ".csv": lambda: frame.to_csv(path, index=False),
        ".json": lambda: frame.to_json(path, orient="records", date_format="iso", indent=1),
    }
    try:
        write[path.suffix]()
    except OSError as error:
        raise InvalidInput(option, str(path), f"cannot be written: {error.strerror}") from error


def data_quality(report: QualityReport) -> DataQuality:
    summary = f"{report.path}: {report.used:,} of {report.rows:,} rows used; a row carries the {report.label} of its candle."
    findings = [Finding(str(found.problem), found.count, found.action, found.examples) for found in report.findings.values()]
    return DataQuality(summary=summary, notes=report.notes, findings=findings)


def quality_json(report: QualityReport) -> dict[str, Any]:
    return {
        "source": report.path,
        "rows": report.rows,
        "used": report.used,
        "label": report.label,
        "notes": report.notes,
        "findings": [
            {"problem": str(found.problem), "count": found.count, "action": found.action, "examples": list(found.examples)}
            for found in report.findings.values()
        ],
    }


def _no_histories(name: str) -> History:
    raise InvalidInput("candles", name, "is not a file, and no store or broker is at hand here: pass `histories`")
