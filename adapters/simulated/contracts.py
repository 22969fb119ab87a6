"""The venue's instruments: ids, monthly expiries, lot sizes."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from adapters.simulated.config import SimulationConfig
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidInput
from runtime.market import Instrument, InstrumentId, InstrumentKind, Right

TICK = 0.05
_ONE_DAY = timedelta(days=1)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_TUESDAY, _WEDNESDAY, _THURSDAY = 1, 2, 3

_EXPIRY_WEEKDAYS = ((date.min, _THURSDAY), (date(2024, 3, 1), _WEDNESDAY), (date(2025, 1, 1), _THURSDAY), (date(2025, 9, 1), _TUESDAY))
"""Weekday of Bank Nifty's monthly expiry by the month it falls in, as NSE has moved it."""


class Contracts:
    """Instruments of one underlying. An expiry is the last such weekday of its month, or the trading day before a holiday."""

    def __init__(self, config: SimulationConfig, calendar: ExchangeCalendar) -> None:
        self._underlying = config.underlying
        self._strike_step = config.strike_step
        self._terms = config.contract_terms
        self._calendar = calendar
        self._pattern = re.compile(rf"{re.escape(config.underlying)}(\d\d)({'|'.join(_MONTHS)})(?:(FUT)|(\d+(?:\.\d+)?)(CE|PE))")
        self.underlying = _underlying(config)
        self.has_contracts = config.spot is None
        self.instrument = lru_cache(maxsize=4096)(self._instrument)

    def expiries(self, day: date, count: int = 3) -> list[date]:
        """The nearest monthly expiries with at least one day left, ascending; none of what is traded itself."""
        found: list[date] = []
        count = count if self.has_contracts else 0
        year, month = day.year, day.month
        while len(found) < count:
            expiry = self.expiry(year, month)
            if expiry > day:
                found.append(expiry)
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return found

    def near_month(self, day: date) -> date:
        return self.expiries(day, count=1)[0]

    def expiry(self, year: int, month: int) -> date:
        first = date(year, month, 1)
        weekday = [weekday for start, weekday in _EXPIRY_WEEKDAYS if start <= first][-1]
        day = (first + timedelta(days=32)).replace(day=1) - _ONE_DAY
        while day.weekday() != weekday:
            day -= _ONE_DAY
        while not self._calendar.times(day):
            day -= _ONE_DAY
        return day

    def future(self, expiry: date) -> Instrument:
        return self.instrument(f"{self._prefix(expiry)}FUT")

    def option(self, expiry: date, strike: float, right: Right) -> Instrument:
        return self.instrument(f"{self._prefix(expiry)}{strike:g}{right}")

    def _prefix(self, expiry: date) -> str:
        return f"{self._underlying}{expiry:%y}{_MONTHS[expiry.month - 1]}"

    def _instrument(self, instrument: InstrumentId) -> Instrument:
        """Raises InvalidInput for an id that is not of this underlying or whose strike is off the strike step."""
        if instrument == self._underlying:
            return self.underlying
        match = self._pattern.fullmatch(instrument) if self.has_contracts else None
        if match is None:
            contracts = ", its futures (…26NOVFUT) and options (…26NOV52000CE)" if self.has_contracts else ""
            fix = f"the simulated venue lists {self._underlying}{contracts}"
            raise InvalidInput("instrument", instrument, fix)
        year, month, future, strike_text, right = match.groups()
        expiry = self.expiry(2000 + int(year), _MONTHS.index(month) + 1)
        terms = [terms for terms in self._terms if terms.first_expiry <= expiry][-1]
        lot_size, freeze_quantity = Decimal(terms.lot_size), Decimal(terms.freeze_quantity)
        if future:
            return Instrument(
                id=instrument,
                kind=InstrumentKind.FUTURE,
                lot_size=lot_size,
                freeze_quantity=freeze_quantity,
                underlying=self._underlying,
                expiry=expiry,
            )
        strike = float(strike_text)
        if strike <= 0 or strike % self._strike_step:
            raise InvalidInput("instrument", instrument, f"strikes are multiples of {self._strike_step}")
        return Instrument(
            id=instrument,
            kind=InstrumentKind.OPTION,
            lot_size=lot_size,
            freeze_quantity=freeze_quantity,
            underlying=self._underlying,
            expiry=expiry,
            strike=strike,
            right=Right(right),
        )


def _underlying(config: SimulationConfig) -> Instrument:
    terms = config.spot
    if terms is None:
        return Instrument(id=config.underlying, kind=InstrumentKind.INDEX)
    return Instrument(
        id=config.underlying,
        kind=InstrumentKind.SPOT,
        segment=terms.segment,
        currency=terms.currency,
        lot_size=terms.lot_size,
        min_notional=terms.min_notional,
    )
