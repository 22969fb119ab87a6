"""Candles from files, the store and a broker, and every question that only a user can answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from actors.candle_source import CandleRequest, History, guess_instrument, load_candles
from actors.histories import histories, open_upstox
from adapters.candle_files import Problem, from_candles
from adapters.upstox.endpoints import Endpoints
from configs.calendar import load_calendar
from runtime.errors import InvalidInput, ServerUnavailable
from runtime.market import IST, Candle, InstrumentId, Timeframe
from tests.builders import at
from tests.venues.upstox import UpstoxVenue

DAY = date(2026, 11, 20)


def candle(clock: str, close: float = 100.0) -> Candle:
    return Candle(instrument="NSE:BANKNIFTY", timeframe=Timeframe.M1, opened_at=at(clock), open=100.0, high=110.0, low=90.0, close=close)


def recorded(*candles: Candle, asked: list[tuple[object, ...]] | None = None) -> Callable[[str], History]:
    async def history(instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        if asked is not None:
            asked.append((instrument, timeframe, start, end))
        return list(candles)

    return lambda name: {"somewhere": history}[name]


def write(folder: Path, name: str, *lines: str) -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_an_indian_file_is_checked_against_the_exchanges_sessions(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "BANKNIFTY_1m.csv",
        "Date,Time,Open,High,Low,Close",
        *(f"20261120,{clock},1,1,1,1" for clock in ("09:15", "09:16", "18:00")),
    )
    loaded, calendar = load_candles(CandleRequest(source=str(file)), recorded())

    assert (loaded.instrument, len(loaded), calendar.zone) == ("NSE:BANKNIFTY", 2, IST)
    assert loaded.report.count(Problem.OFF_SESSION) == 1


def test_a_pair_is_known_by_its_name_and_trades_at_night(tmp_path: Path) -> None:
    file = write(tmp_path, "BTCUSDT_1m.csv", "ts_utc,Open,High,Low,Close", "2026-11-21 23:00:00,1,1,1,1", "2026-11-21 23:01:00,1,1,1,1")
    loaded, _ = load_candles(CandleRequest(source=str(file)), recorded())

    assert (loaded.instrument, len(loaded), loaded.report.findings.keys() & {Problem.OFF_SESSION}) == ("BTC/USDT", 2, set())


def test_a_file_of_another_zone_is_read_in_its_own(tmp_path: Path) -> None:
    file = write(tmp_path, "es.csv", "datetime,Open,High,Low,Close", "2026-11-20 10:00:00,1,1,1,1", "2026-11-20 10:01:00,1,1,1,1")
    loaded, _ = load_candles(CandleRequest(source=str(file), instrument="CME:MES", zone="America/New_York"), recorded())

    [first, _] = loaded.candles()
    assert first.opened_at == datetime(2026, 11, 20, 10, 0, tzinfo=ZoneInfo("America/New_York"))


def test_a_history_is_asked_for_whole_days_with_the_warm_up_before_them() -> None:
    asked: list[tuple[object, ...]] = []
    request = CandleRequest(source="somewhere:NSE:BANKNIFTY", start=DAY, end=DAY, warm_up=3)
    loaded, _ = load_candles(request, recorded(candle("09:15"), candle("09:16"), candle("09:18"), asked=asked))

    midnight = datetime(2026, 11, 20, tzinfo=IST)
    assert asked == [("NSE:BANKNIFTY", Timeframe.M1, midnight - timedelta(days=3), midnight + timedelta(days=1))]
    assert [found.opened_at for found in loaded.candles()] == [at("09:15"), at("09:16"), at("09:18")]
    assert loaded.report.count(Problem.GAP) == 375 - 3
    assert (loaded.report.path, loaded.volume) == ("somewhere:NSE:BANKNIFTY", None)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (CandleRequest(source="absent.csv"), "--candles = 'absent.csv': is not a file; name one, or store:INSTRUMENT"),
        (CandleRequest(source="somewhere:NSE:BANKNIFTY"), "--from/--to = None: say the first and the last day"),
        (CandleRequest(source="somewhere:NSE:BANKNIFTY", start=DAY, end=DAY), "there is none in the period asked for"),
        (CandleRequest(source="somewhere:WHAT", start=DAY, end=DAY), "instrument = 'WHAT': no calendar is known for it"),
    ],
)
def test_what_cannot_be_read_is_said(request_: CandleRequest, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        load_candles(request_, recorded())


def test_an_american_share_trades_from_half_past_nine_in_new_york(tmp_path: Path) -> None:
    rows = [f"2026-11-20 {clock}:00,1,1,1,1" for clock in ("09:29", "09:30", "09:31")]
    file = write(tmp_path, "spy.csv", "datetime,Open,High,Low,Close", *rows)
    loaded, _ = load_candles(CandleRequest(source=str(file), instrument="NYSE:SPY", zone="America/New_York"), recorded())

    assert [f"{candle.opened_at:%H:%M}" for candle in loaded.candles()] == ["09:30", "09:31"]


def test_a_zone_that_is_none_and_a_name_that_tells_nothing_are_questions(tmp_path: Path) -> None:
    file = write(tmp_path, "prices.csv", "date,Open,High,Low,Close", "2026-11-20 10:00,1,1,1,1", "2026-11-20 10:01,1,1,1,1")

    with pytest.raises(InvalidInput, match=r"--instrument = None: prices.csv does not tell what it holds"):
        load_candles(CandleRequest(source=str(file)), recorded())
    with pytest.raises(InvalidInput, match=r"--zone = 'Bombay': is not a time zone; write it as Asia/Kolkata"):
        load_candles(CandleRequest(source=str(file), instrument="NSE:X", zone="Bombay"), recorded())


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("BANKNIFTY_1m.parquet", "NSE:BANKNIFTY"),
        ("NIFTY50_1m.parquet", "NSE:NIFTY"),
        ("BTCUSDT_spot_1m.parquet", "BTC/USDT"),
        ("eth-usdc.csv", "ETH/USDC"),
        ("SOL_USD_5m.csv", "SOL/USD"),
    ],
)
def test_names_that_tell_the_instrument(name: str, instrument: str) -> None:
    assert guess_instrument(Path(name)) == instrument


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"is neither a file nor a known source; known are store, upstox"):
        histories(None)("moon")


def test_the_store_needs_a_running_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "MONGODB_URL", "SHOAL_STATE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ServerUnavailable, match="nothing is running here"):
        load_candles(CandleRequest(source="store:NSE:BANKNIFTY", start=DAY, end=DAY), histories(tmp_path))


def test_times_of_a_history_may_be_of_any_zone() -> None:
    shifted = Candle(
        instrument="NSE:BANKNIFTY",
        timeframe=Timeframe.M1,
        opened_at=at("09:15").astimezone(UTC),
        open=100.0,
        high=110.0,
        low=90.0,
        close=100.0,
        volume=5.0,
    )
    loaded, _ = load_candles(CandleRequest(source="somewhere:NSE:BANKNIFTY", start=DAY, end=DAY), recorded(shifted, candle("09:16")))

    assert [(found.opened_at, found.volume) for found in loaded.candles()] == [(at("09:15"), 5.0), (at("09:16"), 0.0)]


async def test_upstox_gives_its_history_over_its_own_protocol() -> None:
    async with UpstoxVenue() as venue:
        day = venue.clock.now.astimezone(IST).date()
        endpoints = Endpoints(
            api=venue.urls.rest,
            orders=venue.urls.orders,
            feed=venue.urls.feed,
            portfolio=venue.urls.portfolio,
            instruments=venue.urls.instruments,
        )
        history = histories(None, {"upstox": lambda: open_upstox(venue.token(), endpoints)})("upstox")
        start = datetime.combine(day - timedelta(days=7), time(0), IST)
        candles = await history("NSE:BANKNIFTY", Timeframe.M1, start, datetime.combine(day, time(0), IST))

    assert len(candles) >= 375
    assert {candle.instrument for candle in candles} == {"NSE:BANKNIFTY"}
    loaded = from_candles(candles, "upstox:NSE:BANKNIFTY", calendar=load_calendar())
    assert (len(loaded), loaded.report.count(Problem.OFF_SESSION)) == (len(candles), 0)


def test_upstox_wants_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSTOX_ACCESS_TOKEN", raising=False)
    with pytest.raises(InvalidInput, match="UPSTOX_ACCESS_TOKEN = None: set this variable"):
        load_candles(CandleRequest(source="upstox:NSE:BANKNIFTY", start=DAY, end=DAY), histories(None))
