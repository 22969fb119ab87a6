"""How one Upstox account is traded."""

from __future__ import annotations

from typing import Literal

import msgspec

from adapters.upstox.endpoints import Egress
from adapters.upstox.limiter import ORDER_LIMITS, RateLimit


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds of this machine's clock.

    `product`: I is intraday (the broker squares it off), D is carried. `algo_name`: of an exchange-registered algo.
    `visibility_seconds`: how long an order whose answer was lost may still turn up in the books; only after it is an order
    that they do not show taken to be absent. For orders that close a position it is `exit_visibility_seconds`, counted from
    their sending, as the position is open meanwhile. `reprice_seconds`: a market order that has become a limit order follows the
    market this often. `quiet_seconds`: no order leaves earlier after a start, as the process before may have used up the rate.
    """

    product: Literal["I", "D"] = "I"
    algo_name: str | None = None
    egress: Egress = Egress()
    order_limits: tuple[RateLimit, ...] = ORDER_LIMITS
    visibility_seconds: float = 120.0
    exit_visibility_seconds: float = 3.0
    reprice_seconds: float = 2.0
    answer_seconds: float = 8.0
    exit_answer_seconds: float = 2.0
    """An order that closes a position is looked for in the books when its answer takes longer than this."""
    poll_seconds: float = 2.0
    """Between looks at the order book while the portfolio stream is down and orders are open."""
    look_seconds: float = 15.0
    """The same while it is up: a stream that is silent is not known to be alive."""
    quiet_seconds: float = 1.0
