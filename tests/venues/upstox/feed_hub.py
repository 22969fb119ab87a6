"""The market data feed V3: subscriptions, snapshots, live frames and their faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.venues.upstox import faults, frames
from tests.venues.upstox.clock import VenueClock
from tests.venues.upstox.market import Market
from tests.venues.upstox.settings import VenueSettings
from tests.venues.upstox.sockets import Connection

MODES = ("ltpc", "option_greeks", "full", "full_d30")
_MALFORMED = b"\xff\xff\xff\xffnot a frame"


class FeedHub:
    """All market data sockets. A frame goes out per step of the market, with the instruments that traded in it."""

    def __init__(self, settings: VenueSettings, clock: VenueClock, market: Market) -> None:
        self._settings = settings
        self._clock = clock
        self._market = market
        self._modes: dict[Connection, dict[str, str]] = {}
        self._silent_until: datetime | None = None
        self._disturbances: list[str] = []
        self._held: list[Callable[[], None]] = []
        self.refusals: list[int] = []
        self.was_open: bool | None = None

    @property
    def connections(self) -> list[Connection]:
        return list(self._modes)

    def subscriptions(self, user_id: str) -> dict[str, str]:
        """Mode per key over all sockets of a customer."""
        return {key: mode for connection, modes in self._modes.items() if connection.user_id == user_id for key, mode in modes.items()}

    def open(self, connection: Connection) -> None:
        self._modes[connection] = {}
        if not self._is_silent():
            connection.send(frames.market_info(self._market, self._clock.now))

    def gone(self, connection: Connection) -> None:
        self._modes.pop(connection, None)

    def close(self, code: int, user_id: str | None = None) -> None:
        for connection in self.connections:
            if user_id in (None, connection.user_id):
                connection.close(code)

    def disturb(self, fault: faults.AnyFault) -> None:
        match fault:
            case faults.FeedSilence():
                self._silent_until = self._clock.now + timedelta(seconds=fault.seconds)
            case faults.FeedClose():
                self.close(fault.code, fault.user)
            case faults.FeedRefusal():
                self.refusals += [fault.status] * fault.times
            case faults.MalformedFrame():
                self._disturbances.append("malformed")
            case faults.FeedTicks():
                self._disturbances += [fault.how] * fault.times
            case _:
                raise TypeError(f"{type(fault).__name__} is not a fault of the feed")

    def on_message(self, connection: Connection, data: bytes | str) -> None:
        """A request of the client: binary JSON. What cannot be read, and text frames, are ignored, as the vendor does [U]."""
        try:
            request = json.loads(data) if isinstance(data, bytes) else {}
            method, keys = request.get("method"), list(request["data"]["instrumentKeys"])
        except (ValueError, KeyError, TypeError):
            return
        modes = self._modes.get(connection)
        mode = request["data"].get("mode", "ltpc")
        if modes is None or method not in ("sub", "unsub", "change_mode") or (method != "unsub" and not self._allowed(mode)):
            return
        if method == "unsub":
            for key in keys:
                modes.pop(key, None)
            return
        known = [key for key in keys if self._market.listing.get(key) is not None and (method == "sub" or key in modes)]
        taken = self._within_limits(modes, known, mode)
        modes.update(dict.fromkeys(taken, mode))
        if taken and not self._is_silent():
            connection.send(frames.response("initial_feed", self._feeds(taken, mode), self._clock.now))

    def on_step(self) -> None:
        """Send what traded in the step that has just ended, and the segments' state where it changed."""
        now = self._clock.now
        is_open = self._market.in_session(now)
        changed, self.was_open = self.was_open not in (None, is_open), is_open
        if self._is_silent() or not self._modes:
            return
        built: dict[tuple[str, str], Any] = {}
        for connection, modes in self._modes.items():
            if changed:
                connection.send(frames.market_info(self._market, now))
            feeds = {key: message for key, mode in modes.items() if (message := self._live(key, mode, built)) is not None}
            if feeds:
                self._send(connection, frames.response("live_feed", feeds, now))

    def _live(self, key: str, mode: str, built: dict[tuple[str, str], Any]) -> Any:
        """The instrument's feed if it traded in this step; built once for all sockets."""
        if (key, mode) not in built:
            listed = self._market.listing.get(key)
            fresh = listed is not None and self._market.traded(listed, self._clock.now)
            snapshot = self._market.snapshot(listed, self._clock.now) if listed is not None and fresh else None
            built[key, mode] = None if snapshot is None else frames.feed(snapshot, mode)
        return built[key, mode]

    def _feeds(self, keys: list[str], mode: str) -> dict[str, Any]:
        feeds: dict[str, Any] = {}
        for key in keys:
            listed = self._market.listing.get(key)
            snapshot = self._market.snapshot(listed, self._clock.now) if listed is not None else None
            if snapshot is not None:
                feeds[key] = frames.feed(snapshot, mode)
        return feeds

    def _send(self, connection: Connection, frame: bytes) -> None:
        how = self._disturbances.pop(0) if self._disturbances else None
        if how == "reorder":
            self._held.append(lambda: connection.send(frame))
            return
        if how == "sparse":
            frame = frames.sparse(frame)
        connection.send(_MALFORMED if how == "malformed" else frame)
        if how == "duplicate":
            connection.send(frame)
        for held in self._held:
            held()
        self._held.clear()

    def _allowed(self, mode: str) -> bool:
        return mode in MODES and (mode != "full_d30" or self._settings.plus_plan)

    def _within_limits(self, modes: dict[str, str], keys: list[str], mode: str) -> list[str]:
        """As many of `keys` as the mode's limit leaves room for; the rest is dropped without an answer [U]."""
        alone, combined = self._settings.subscription_limits[mode]
        others = any(used != mode for key, used in modes.items() if key not in keys)
        taken = sum(used == mode for key, used in modes.items() if key not in keys)
        return keys[: max((combined if others else alone) - taken, 0)]

    def _is_silent(self) -> bool:
        return self._silent_until is not None and self._clock.now < self._silent_until
