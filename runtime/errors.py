"""Every error the runtime raises, split by what the caller can do about it.

::

    ShoalError
    ├── InvalidInput              the caller's data is wrong; `field`, `value` and `fix` say where and how to mend it
    │   ├── InvalidMarketData     a tick, candle or chain that cannot be true
    │   └── InvalidConfig         a setting, profile or strategy parameter
    ├── BrokerError
    │   ├── OutcomeUnknown        it may or may not have happened: reconcile by order id, never resend blindly
    │   ├── BrokerRefused         a definite no
    │   └── BrokerUnavailable     it certainly did not arrive: the same order id may be sent again
    ├── Fenced                    another incarnation owns this user now: stop at once
    ├── ServerUnavailable         Redis, MongoDB or Ray cannot be reached or started
    └── InternalError             our own bug; the trader that met it stops, the others go on
"""

from __future__ import annotations


class ShoalError(Exception):
    """Base of all errors the runtime raises on purpose."""


class InvalidInput(ShoalError, ValueError):
    """Data from outside is wrong. The message names the field, the value and the fix."""

    def __init__(self, field: str, value: object, fix: str) -> None:
        self.field = field
        self.value = value
        self.fix = fix
        super().__init__(f"{field} = {_short(value)}: {fix}")


class InvalidMarketData(InvalidInput):
    """A price, candle, chain or file row that cannot be true."""


class InvalidConfig(InvalidInput):
    """A setting, profile or strategy parameter outside what is allowed."""


class BrokerError(ShoalError):
    """Something went wrong between us and a broker."""


class OutcomeUnknown(BrokerError):
    """The request may or may not have arrived; reconcile by `order_id`, never resend blindly."""


class BrokerRefused(BrokerError):
    """The broker will not do it; nothing was executed."""


class BrokerUnavailable(BrokerError):
    """The request certainly did not arrive; the same `order_id` may be sent again."""


class Fenced(ShoalError):
    """Another incarnation of this user's session has written to the journal: this one must stop."""

    def __init__(self, user_id: str, epoch: int) -> None:
        self.user_id = user_id
        self.epoch = epoch
        super().__init__(f"session of user {user_id!r} at epoch {epoch} was taken over by a newer incarnation")


class ServerUnavailable(ShoalError):
    """A server the runtime needs cannot be reached or started; the message says what to do."""


class InternalError(ShoalError):
    """A broken assumption of our own."""


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
