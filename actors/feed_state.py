"""What a host knows of the market data, and which of its traders have to hear of it."""

from __future__ import annotations

from datetime import datetime

from actors.trading_floor import TradingFloor
from actors.wire import encode
from runtime.market import InstrumentId
from runtime.outages import FeedChanged
from runtime.state import EngineState, SessionStatus


class FeedState:
    def __init__(self, floor: TradingFloor) -> None:
        self._floor = floor
        self._up, self._reason = True, ""
        self._silent: tuple[InstrumentId, ...] = ()
        self._compared = False
        """Traders that come back may have heard something else last."""

    async def follow(self, ts: datetime, *, up: bool, silent: tuple[InstrumentId, ...] = (), reason: str = "") -> None:
        """The market data is in this state now: those whom the change concerns are told."""
        if self._compared and (up, silent) == (self._up, self._silent):
            return
        self._up, self._silent, self._reason, self._compared = up, silent, "" if up and not silent else reason, True
        event = self._event(ts)
        concerned = [user_id for user_id, trader in self._floor.traders.items() if self._is_news_for(trader.state)]
        await self._floor.run([(user_id, event) for user_id in concerned], encoded=encode(event).decode())

    def news_for(self, state: EngineState, ts: datetime) -> FeedChanged | None:
        """What a trader who has just begun, or follows something new, does not know yet."""
        return self._event(ts) if self._is_news_for(state) else None

    def _event(self, ts: datetime) -> FeedChanged:
        return FeedChanged(ts=ts, up=self._up, reason=self._reason, silent=self._silent)

    def _is_news_for(self, state: EngineState) -> bool:
        if state.status is SessionStatus.STOPPED and not state.open_positions:
            return False
        if state.feed_up != self._up:
            return True
        if not self._up or (not state.silent and not self._silent):
            return False
        followed = {subscription.instrument for subscription in state.config.subscriptions}
        return followed.intersection(state.silent) != followed.intersection(self._silent)
