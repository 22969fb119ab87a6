"""Recorded option chains, with a report of everything that was wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import msgspec

from adapters.chain_files.layout import RawSnapshot, SideCells, StrikeCells, read_snapshots
from runtime.calendar import ExchangeCalendar
from runtime.market import ChainRow, Instrument, InstrumentId, InstrumentKind, OptionChain, OptionQuote, Right

EXAMPLES_MAX = 5
_THURSDAY = 3


class ChainProblem(StrEnum):
    TORN = "snapshot refused: a strike is listed twice"
    EMPTY = "snapshot refused: no strike"
    NO_SPOT = "snapshot refused: no spot, and none can be inferred"
    FROZEN = "snapshot refused: unchanged for too long"
    OFF_SESSION = "snapshot refused: outside the exchange session"
    CROSSED = "quote without bid and ask: bid above ask"
    NOT_A_NUMBER = "cell taken as empty: no number, or a negative one"
    SPOT_INFERRED = "spot inferred from put-call parity: none recorded"
    EXPIRY_ASSUMED = "expiry assumed by weekday: none recorded"


class ChainReport(msgspec.Struct):
    """Grows while the file is iterated. `examples` says where, for the first few of each problem."""

    path: str
    snapshots: int = 0
    used: int = 0
    counts: dict[ChainProblem, int] = {}
    examples: dict[ChainProblem, list[str]] = {}

    def add(self, problem: ChainProblem, where: str) -> None:
        self.counts[problem] = self.counts.get(problem, 0) + 1
        examples = self.examples.setdefault(problem, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(where)

    def lines(self) -> list[str]:
        """For people."""
        found = [f"{problem}: {count}, first: {'; '.join(self.examples[problem])}" for problem, count in self.counts.items()]
        return [f"{self.path}: {self.used} of {self.snapshots} snapshots used", *found]


def next_thursday(day: date) -> date:
    """Weekly expiry of NSE index options in 2016 to 2025, exchange holidays not considered."""
    return day + timedelta(days=(_THURSDAY - day.weekday()) % 7)


class ChainFile:
    """Iterate for the good chains in the order of the file; `report` is complete once they have all been read.

    Known forms: parquet with `ts_ist` (many snapshots), CSV with named columns, and the option-chain page of nseindia.com
    saved as CSV. Quotes whose numbers cannot be true lose them; snapshots that cannot be true are left out.

    `expiry_of`: expiry of a snapshot's date, where the file names none. `taken_at`: of a CSV whose name holds no time.
    `calendar`: leave out snapshots taken while the exchange was closed. `frozen_after`: leave out snapshots equal to one
    older than this (None: keep them). `lot_size` goes into the instruments: recorded chains do not say.

    Raises while iterating:
        InvalidMarketData: the file is unreadable or not of a known form.
    """

    def __init__(
        self,
        path: Path | str,
        underlying: InstrumentId,
        *,
        expiry_of: Callable[[date], date] = next_thursday,
        taken_at: datetime | None = None,
        calendar: ExchangeCalendar | None = None,
        frozen_after: timedelta | None = timedelta(minutes=10),
        lot_size: Decimal = Decimal(1),
    ) -> None:
        self._path = Path(path)
        self._underlying = underlying
        self._expiry_of = expiry_of
        self._taken_at = taken_at
        self._calendar = calendar
        self._frozen_after = frozen_after
        self._lot_size = lot_size
        self._instruments: dict[tuple[date, float, Right], Instrument] = {}
        self.report = ChainReport(self._path.name)

    def __iter__(self) -> Iterator[OptionChain]:
        self.report = report = ChainReport(self._path.name)
        symbol = self._underlying.rpartition(":")[2]
        unchanged: list[StrikeCells] | None = None
        unchanged_since: datetime | None = None
        for snapshot in read_snapshots(self._path, symbol, self._taken_at, lambda where: report.add(ChainProblem.NOT_A_NUMBER, where)):
            report.snapshots += 1
            if snapshot.rows != unchanged or unchanged_since is None:
                unchanged, unchanged_since = snapshot.rows, snapshot.taken_at
            where = f"{snapshot.taken_at:%Y-%m-%d %H:%M}"
            if self._frozen_after is not None and snapshot.taken_at - unchanged_since > self._frozen_after:
                report.add(ChainProblem.FROZEN, f"{where} equals {unchanged_since:%H:%M}")
            elif self._calendar is not None and not self._calendar.is_open(snapshot.taken_at):
                report.add(ChainProblem.OFF_SESSION, where)
            else:
                chain = self._chain(snapshot, where)
                if chain is not None:
                    report.used += 1
                    yield chain

    def _chain(self, snapshot: RawSnapshot, where: str) -> OptionChain | None:
        rows = sorted((row for row in snapshot.rows if row.strike), key=lambda row: row.strike or 0.0)
        strikes = [row.strike for row in rows if row.strike]
        if not rows:
            self.report.add(ChainProblem.EMPTY, where)
            return None
        if len(set(strikes)) != len(strikes):
            repeated = sorted({strike for strike in strikes if strikes.count(strike) > 1})
            self.report.add(ChainProblem.TORN, f"{where} strikes {repeated[:3]}")
            return None
        spot = rows[0].spot or self._inferred_spot(rows, where)
        if spot is None:
            self.report.add(ChainProblem.NO_SPOT, where)
            return None
        expiry = snapshot.expiry
        if expiry is None:
            expiry = self._expiry_of(snapshot.taken_at.date())
            self.report.add(ChainProblem.EXPIRY_ASSUMED, f"{where} {expiry}")
        return OptionChain(
            underlying=self._underlying,
            expiry=expiry,
            taken_at=snapshot.taken_at,
            spot=spot,
            rows=tuple(
                ChainRow(
                    strike=strike,
                    call=self._quote(row.call, expiry, strike, Right.CALL, where),
                    put=self._quote(row.put, expiry, strike, Right.PUT, where),
                )
                for row, strike in zip(rows, strikes, strict=True)
            ),
        )

    def _inferred_spot(self, rows: list[StrikeCells], where: str) -> float | None:
        """Strike + call - put, where call and put are nearest to each other."""
        pairs = [(row.call.price, row.put.price, row.strike) for row in rows]
        known = [(call - put, strike) for call, put, strike in pairs if call and put and strike]
        if not known:
            return None
        difference, strike = min(known, key=lambda pair: abs(pair[0]))
        self.report.add(ChainProblem.SPOT_INFERRED, f"{where} {strike + difference:.2f}")
        return strike + difference

    def _quote(self, cells: SideCells, expiry: date, strike: float, right: Right, where: str) -> OptionQuote:
        bid, ask = cells.bid, cells.ask
        if bid and ask and bid > ask:
            self.report.add(ChainProblem.CROSSED, f"{where} {strike:g} {right} {bid}/{ask}")
            bid = ask = None
        return OptionQuote(
            instrument=self._instrument(expiry, strike, right),
            price=cells.price or None,
            bid=bid or None,
            ask=ask or None,
            open_interest=cells.open_interest,
            volume=cells.volume,
            iv=cells.iv / 100.0 if cells.iv else None,
        )

    def _instrument(self, expiry: date, strike: float, right: Right) -> Instrument:
        key = (expiry, strike, right)
        known = self._instruments.get(key)
        if known is None:
            known = self._instruments[key] = Instrument(
                id=f"{self._underlying}{_expiry_code(expiry)}{strike:g}{right}",
                kind=InstrumentKind.OPTION,
                lot_size=self._lot_size,
                underlying=self._underlying,
                expiry=expiry,
                strike=float(strike),
                right=right,
            )
        return known


def _expiry_code(expiry: date) -> str:
    """As in NSE trading symbols: `19JUN` for the last expiry of a month, `19613` for a weekly one (October to December O, N, D)."""
    if (expiry + timedelta(days=7)).month != expiry.month:
        return f"{expiry:%y%b}".upper()
    return f"{expiry:%y}{'123456789OND'[expiry.month - 1]}{expiry:%d}"
