"""The portfolio stream of one account: its orders as they change, whoever placed them. There is no replay after a drop."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from loguru import logger

from adapters.brokers.upstox.rows import OrderRow, Update
from adapters.upstox.socket import Send, VenueSocket
from adapters.upstox.token import AccessToken

_decode_update = msgspec.json.Decoder(Update).decode
_decode_order = msgspec.json.Decoder(OrderRow, strict=False).decode


class PortfolioStream:
    """`on_open` is called on every connection: what happened before it has to be read from the order book."""

    def __init__(
        self,
        url: str,
        token: AccessToken,
        *,
        on_open: Callable[[], None],
        on_order: Callable[[OrderRow], None],
        on_down: Callable[[str], None],
        on_auth_expired: Callable[[str], None],
        jitter: Callable[[], float],
    ) -> None:
        self._on_open, self._on_order = on_open, on_order
        self.malformed = 0
        self._socket = VenueSocket(
            f"{url}?update_types=order",
            token,
            greet=self._greet,
            on_message=self._on_message,
            on_down=on_down,
            on_auth_expired=on_auth_expired,
            jitter=jitter,
        )

    @property
    def is_open(self) -> bool:
        return self._socket.is_open

    async def run(self) -> None:
        await self._socket.run()

    async def _greet(self, send: Send) -> None:
        del send  # the stream begins by itself
        self._on_open()

    def _on_message(self, message: bytes) -> None:
        try:
            if _decode_update(message).update_type == "order":
                self._on_order(_decode_order(message))
        except msgspec.MsgspecError as error:
            self.malformed += 1
            logger.warning("a portfolio message of {} bytes was passed over: {}", len(message), error)
