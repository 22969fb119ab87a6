"""Reads of one account's books."""

from __future__ import annotations

from decimal import Decimal

from adapters.brokers.upstox.rows import Addresses, FundsRow, OrderRow, PositionRow, Prices, TradeRow
from adapters.upstox.client import UpstoxClient, parse
from runtime.errors import OrderNotFound


class Books:
    """Every method raises `BrokerUnavailable`, `SessionExpired` or `BrokerRefused`."""

    def __init__(self, client: UpstoxClient) -> None:
        self._client = client

    async def orders(self) -> list[OrderRow]:
        """Of today."""
        return parse(await self._client.read("/v2/order/retrieve-all"), list[OrderRow] | None) or []

    async def order(self, broker_order_id: str) -> OrderRow:
        return parse(await self._client.read("/v2/order/details", {"order_id": broker_order_id}), OrderRow)

    async def by_tag(self, tag: str) -> list[OrderRow]:
        """All states of all orders that carry the tag, oldest state first; empty when the broker knows of none."""
        try:
            return parse(await self._client.read("/v2/order/history", {"tag": tag}), list[OrderRow] | None) or []
        except OrderNotFound:
            return []

    async def trades(self) -> list[TradeRow]:
        """Of today."""
        return parse(await self._client.read("/v2/order/trades/get-trades-for-day"), list[TradeRow] | None) or []

    async def trades_of(self, broker_order_id: str) -> list[TradeRow]:
        return parse(await self._client.read("/v2/order/trades", {"order_id": broker_order_id}), list[TradeRow] | None) or []

    async def positions(self) -> list[PositionRow]:
        return parse(await self._client.read("/v2/portfolio/short-term-positions"), list[PositionRow] | None) or []

    async def funds(self) -> FundsRow:
        return parse(await self._client.read("/v2/user/get-funds-and-margin"), FundsRow)

    async def addresses(self) -> Addresses:
        """Registered static addresses, from which alone orders are taken."""
        return parse(await self._client.read("/v2/user/ip"), Addresses)

    async def last_price(self, key: str) -> Decimal | None:
        """The answer is keyed by a symbol in another spelling; the instrument key stands inside."""
        quotes: dict[str, Prices] = parse(await self._client.read("/v3/market-quote/ltp", {"instrument_key": key}), dict[str, Prices])
        return next((quote.last_price for quote in quotes.values() if quote.instrument_token == key), None)
