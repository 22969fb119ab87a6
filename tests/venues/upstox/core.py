"""Everything of the venue but its sockets: clock, market, accounts, orders, faults, and the day's time table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any

import msgspec

from runtime.market import IST
from tests.venues.upstox import faults
from tests.venues.upstox.accounts import Account, Accounts, TokenKind
from tests.venues.upstox.books import PLAIN, OrderScript
from tests.venues.upstox.clock import VenueClock
from tests.venues.upstox.desk import Desk
from tests.venues.upstox.feed_hub import FeedHub
from tests.venues.upstox.gtt import GttDesk
from tests.venues.upstox.journal import RequestJournal
from tests.venues.upstox.ledger import Ledger
from tests.venues.upstox.market import Market
from tests.venues.upstox.portfolio_hub import PortfolioHub
from tests.venues.upstox.rates import RateCounter
from tests.venues.upstox.requests import parse_place, tradable
from tests.venues.upstox.settings import StaticAddresses, VenueSettings
from tests.venues.upstox.sockets import OneTimeCodes

_MORNING = time(6, 0)  # IST: when the new instrument file is out and the books start empty
_MANUAL_DEFAULTS = {"product": "I", "validity": "DAY", "order_type": "MARKET", "price": 0, "trigger_price": 0}


class Core:
    """The venue without its servers. Built in order of dependence; `faults` may be asked for at any time."""

    def __init__(self, settings: VenueSettings) -> None:
        self.settings = settings
        self.market = Market(settings)
        first_open = self.market.calendar.session(settings.simulations[0].sessions[0])[0][0]
        self.clock = VenueClock(settings.start or first_open)
        self.listing = self.market.listing
        self.listing.on(self.clock.local.date())
        self.accounts = Accounts(settings, self.clock.now)
        self.ledger = Ledger()
        self.journal = RequestJournal(settings.journal_requests_max)
        self.rates = RateCounter()
        self.codes = OneTimeCodes()
        self.feed = FeedHub(settings, self.clock, self.market)
        self.portfolio = PortfolioHub()
        self.desk = Desk(settings, self.clock, self.market, self.accounts, self.ledger, self.portfolio.publish)
        self.gtt = GttDesk(self.clock, self.market, self.desk, self.portfolio.publish)
        self.planned: list[faults.Planned] = []
        self.book_lag = timedelta(0)
        self.clock.next_step = self._next_step
        self.clock.on_step = self._on_step
        self.desk.on_change = self.gtt.on_order
        self._plan_day()

    def inject(self, wanted: Iterable[faults.AnyFault]) -> None:
        """Faults of calls wait for their call, all others happen at their time."""
        for fault in wanted:
            if fault.at is not None and fault.at.tzinfo is None:
                fault = msgspec.structs.replace(fault, at=fault.at.replace(tzinfo=IST))  # noqa: PLW2901
            if isinstance(fault, faults.CallFault):
                self.planned.append(faults.Planned(fault=fault))
            elif fault.at is None or fault.at <= self.clock.now:
                self._happen(fault)
            else:
                self.clock.at(fault.at, partial(self._happen, fault))

    def strike(self, operation: str, user: str | None) -> list[faults.CallFault]:
        """The faults that strike this call; each counts it."""
        struck = [planned.fault for planned in self.planned if planned.strikes(operation, user, self.clock.now)]
        self.planned = [planned for planned in self.planned if not planned.spent]
        return struck

    def book_time(self) -> datetime:
        """The moment whose state the books show."""
        return self.clock.now - self.book_lag

    def _next_step(self, now: datetime) -> datetime:
        """The market's next step; while nobody looks at it and a clock moved by hand need not show it, the next open or close."""
        watched = self.settings.speed is not None or self.desk.waits or self.gtt.waits or self.feed.connections
        return self.market.next_step(now) if watched else self.market.next_change(now)

    def _on_step(self) -> None:
        self.desk.on_step()
        self.gtt.on_step()
        self.feed.on_step()

    def _plan_day(self) -> None:
        """What happens by itself at fixed times of the day the clock stands in, and the plan of the next morning."""
        today = self.clock.local.date()
        bounds = self.market.calendar.bounds(today)
        square_off = self.settings.square_off
        if bounds is not None and self.clock.now < bounds[1]:
            self.clock.at(bounds[1], self.desk.end_session)
            if square_off is not None:
                self.clock.at(max(datetime.combine(today, square_off, IST), self.clock.now), self._square_off)
        self.clock.at(datetime.combine(today + timedelta(days=1), _MORNING, IST), self._morning)

    def _morning(self) -> None:
        self.listing.on(self.clock.local.date())
        self.desk.new_day({row.key for row in self.listing.rows})
        self._plan_day()

    def _square_off(self) -> None:
        for user_id, book in self.desk.books.items():
            for order in [order for order in book.orders.values() if order.product == "I" and not order.is_final]:
                if order.visible_from is not None:
                    self.desk.cancel(user_id, order.order_id)
            for (key, product), position in list(book.positions.items()):
                if product == "I" and position.quantity:
                    self.trade_by_hand(user_id, closing(key, product, position.quantity), source="rms")

    def trade_by_hand(self, user_id: str, order: dict[str, Any], *, source: str = "app", script: OrderScript = PLAIN) -> list[str]:
        """An order that did not come over the API; its fields as in a place request."""
        request = parse_place(_MANUAL_DEFAULTS | order, self.listing, self.settings)
        return self.desk.place(self.accounts.by_id[user_id], request, source=source, script=script)

    def _happen(self, fault: faults.AnyFault) -> None:
        match fault:
            case faults.LaggingBook():
                self.book_lag = timedelta(seconds=fault.seconds)
                self.clock.after(fault.minutes * 60, self._end_lag)
            case faults.ExpireTokens():
                self._expire(fault)
            case faults.RefuseAddress():
                for account in self._of(fault.user):
                    account.addresses = StaticAddresses(primary=fault.registered)
            case faults.FeedClose(stream="portfolio"):
                self.portfolio.close(fault.code, fault.user)
            case faults.FeedRefusal(stream="portfolio"):
                self.portfolio.refusals += [fault.status] * fault.times
            case faults.StreamUpdates():
                self.portfolio.disturb(fault)
            case faults.Spike():
                self.desk.on_spike(tradable(fault.instrument_token, self.listing), fault.price)
            case faults.ManualOrder():
                for account in self._of(fault.user):
                    self.trade_by_hand(account.user_id, fault.order)
            case faults.ManualCancel():
                for account in self._of(fault.user):
                    self._cancel_by_hand(account.user_id, fault.tag_of_order)
            case faults.FeedSilence() | faults.FeedClose() | faults.FeedRefusal() | faults.MalformedFrame() | faults.FeedTicks():
                self.feed.disturb(fault)
            case _:
                raise TypeError(f"{type(fault).__name__} is not an event")

    def _of(self, user: str | None) -> list[Account]:
        return list(self.accounts.by_id.values()) if user is None else [self.accounts.by_id[user]]

    def _end_lag(self) -> None:
        self.book_lag = timedelta(0)

    def _expire(self, fault: faults.ExpireTokens) -> None:
        kinds = (TokenKind.ACCESS, TokenKind.ANALYTICS) if fault.analytics else (TokenKind.ACCESS,)
        for account in self._of(fault.user):
            self.accounts.end_tokens(account, self.clock.now, kinds)
            if fault.feeds:
                self.portfolio.close(1000, account.user_id)
                self.feed.close(1000, account.user_id)

    def _cancel_by_hand(self, user_id: str, tag: str | None) -> None:
        for order in list(self.desk.book(user_id).orders.values()):
            if not order.is_final and tag in (None, order.tag):
                self.desk.cancel(user_id, order.order_id)


def closing(key: str, product: str, quantity: int) -> dict[str, Any]:
    """The market order that closes a position of so many units."""
    side = "SELL" if quantity > 0 else "BUY"
    return {"instrument_token": key, "product": product, "quantity": abs(quantity), "transaction_type": side}
