"""The `data` of commands about one subscription of a running session."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from runtime.commands.data import Data
from runtime.session import OnBreach


class SubscriptionKey(Data):
    subscription: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$")]
    """Its strategy key, as SUBSCRIBE answered and GET_STATUS lists it."""


class UnsubscribeData(SubscriptionKey):
    positions: OnBreach = OnBreach.KEEP
    """`keep` leaves its position under its exits, `close` flattens it."""
