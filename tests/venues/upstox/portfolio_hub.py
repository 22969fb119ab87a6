"""The portfolio stream: order, position, holding and GTT messages of one customer as JSON text. Nothing is replayed after a drop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.venues.upstox.faults import StreamUpdates, rewrite
from tests.venues.upstox.sockets import Connection


class PortfolioHub:
    """Sends what is published to the sockets of its customer that asked for that kind of message."""

    def __init__(self) -> None:
        self._connections: dict[Connection, frozenset[str]] = {}
        self._disturbances: list[StreamUpdates] = []
        self._held: list[Callable[[], None]] = []
        self.refusals: list[int] = []

    @property
    def connections(self) -> list[Connection]:
        return list(self._connections)

    def open(self, connection: Connection, update_types: frozenset[str]) -> None:
        self._connections[connection] = update_types

    def gone(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def close(self, code: int, user_id: str | None = None) -> None:
        for connection in self.connections:
            if user_id in (None, connection.user_id):
                connection.close(code)

    def disturb(self, fault: StreamUpdates) -> None:
        self._disturbances += [fault] * fault.times

    def publish(self, user_id: str, message: dict[str, Any]) -> None:
        kind = message["update_type"]
        listeners = [connection for connection, kinds in self._connections.items() if connection.user_id == user_id and kind in kinds]
        if not listeners:
            return
        fault = self._next_disturbance(user_id)
        how = None if fault is None else fault.how
        text = json.dumps(message if fault is None else rewrite(message, fault.fields))
        if how == "reorder":
            self._held.append(lambda: _send(listeners, text))
            return
        if how != "drop":
            _send(listeners, text)
        if how == "duplicate":
            _send(listeners, text)
        for held in self._held:
            held()
        self._held.clear()

    def _next_disturbance(self, user_id: str) -> StreamUpdates | None:
        for number, fault in enumerate(self._disturbances):
            if fault.user in (None, user_id):
                return self._disturbances.pop(number)
        return None


def _send(listeners: list[Connection], text: str) -> None:
    for connection in listeners:
        connection.send(text)
