"""Every error the runtime raises, split by what the caller can do about it.

::

    ShoalError
    ├── InvalidInput              the caller's data is wrong; `field`, `value` and `fix` say where and how to mend it
    │   ├── InvalidMarketData     a tick, candle or chain that cannot be true
    │   └── InvalidConfig         a setting, profile or strategy parameter
    ├── BrokerError
    │   ├── OutcomeUnknown        it may or may not have happened: reconcile by order id, never resend blindly
    │   ├── BrokerRefused         a definite no; `reason` says which
    │   │   ├── SessionExpired    the broker wants a new login: nothing more is sent until there is a new token
    │   │   ├── EgressNotAllowed  the broker does not take orders from the address they leave by
    │   │   └── OrderNotFound     the broker does not know the order; of one just placed: perhaps not yet
    │   └── BrokerUnavailable     it certainly did not arrive: the same order id may be sent again
    │       └── RateLimited       too many requests; `retry_after` seconds
    ├── AdapterUnavailable        an optional package is not installed; the message names the extra
    ├── Fenced                    another incarnation owns this user now: stop at once
    ├── LeaseLost                 another process holds this lease now: stop at once
    ├── DiskUnavailable           this machine's disk does not take what must be kept: full, failing, or beyond a bound
    ├── ServerUnavailable         Redis, MongoDB or Ray cannot be reached or started
    └── InternalError             our own bug; the trader that met it stops, the others go on
"""

from __future__ import annotations

from enum import StrEnum


class ShoalError(Exception):
    """Base of all errors the runtime raises on purpose."""


class InvalidInput(ShoalError, ValueError):
    """Data from outside is wrong. The message names the field, the value and the fix."""

    def __init__(self, field: str, value: object, fix: str) -> None:
        self.field = field
        self.value = value
        self.fix = fix
        super().__init__(f"{field} = {_short(value)}: {fix}")

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, object, str]]:
        """So that it can be raised in another process and told here."""
        return type(self), (self.field, self.value, self.fix)


class InvalidMarketData(InvalidInput):
    """A price, candle, chain or file row that cannot be true."""


class InvalidConfig(InvalidInput):
    """A setting, profile or strategy parameter outside what is allowed."""


class BrokerError(ShoalError):
    """Something went wrong between us and a broker."""


class OutcomeUnknown(BrokerError):
    """The request may or may not have arrived; reconcile by `order_id`, never resend blindly."""


class RefusalReason(StrEnum):
    """Why a broker will not do it, in one vocabulary for all brokers."""

    INVALID = "invalid"
    FUNDS = "insufficient_funds"
    PRICE_BAND = "price_band"
    LOT_SIZE = "lot_size"
    FREEZE_QUANTITY = "freeze_quantity"
    MARKET_CLOSED = "market_closed"
    INSTRUMENT = "unknown_instrument"
    RISK = "broker_risk"
    UNSUPPORTED = "unsupported"
    DUPLICATE = "duplicate"
    ALREADY_DONE = "already_done"
    SESSION = "session_expired"
    EGRESS = "egress_not_allowed"
    PERMISSION = "permission_denied"
    NOT_FOUND = "not_found"
    OTHER = "other"


class BrokerRefused(BrokerError):
    """The broker will not do it; nothing was executed. `code` is the broker's own word, "" where it gave none."""

    def __init__(self, message: str, reason: RefusalReason = RefusalReason.OTHER, code: str = "") -> None:
        self.reason = reason
        self.code = code
        super().__init__(message)


class SessionExpired(BrokerRefused):
    """The access token is no longer (or not yet) good: the user has to log in with the broker again."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, RefusalReason.SESSION, code)


class EgressNotAllowed(BrokerRefused):
    """Orders must leave from the address registered with the broker, and these did not."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, RefusalReason.EGRESS, code)


class OrderNotFound(BrokerRefused):
    """The broker does not know the order. Of an order whose answer was lost this proves nothing yet."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, RefusalReason.NOT_FOUND, code)


class BrokerUnavailable(BrokerError):
    """The request certainly did not arrive; the same `order_id` may be sent again."""


class RateLimited(BrokerUnavailable):
    """Too many requests: nothing was executed. `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class AdapterUnavailable(ShoalError):
    """A vendor's package that an adapter needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"the package {package} is not installed: pip install 'shoal[{extra}]'")


class Fenced(ShoalError):
    """Another incarnation of this user's session has written to the journal: this one must stop."""

    def __init__(self, user_id: str, epoch: int) -> None:
        self.user_id = user_id
        self.epoch = epoch
        super().__init__(f"session of user {user_id!r} at epoch {epoch} was taken over by a newer incarnation")


class LeaseLost(ShoalError):
    """Another process has taken this lease since: whatever was held by it must stop. `token` is the one that is stale."""

    def __init__(self, lease: str, token: int) -> None:
        self.lease = lease
        self.token = token
        super().__init__(f"lease {lease!r} was taken by another process since token {token} was given out")


class ServerUnavailable(ShoalError):
    """A server the runtime needs cannot be reached or started; the message says what to do."""


class DiskUnavailable(ShoalError):
    """What must be kept on this machine is not taken by its disk: it is full, it fails, or a bound of ours is reached."""


class InternalError(ShoalError):
    """A broken assumption of our own."""


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
