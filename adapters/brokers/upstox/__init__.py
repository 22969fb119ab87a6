"""Upstox as a `runtime.ports.Broker`: orders over httpx, their life from the portfolio stream, the truth from the books.

Verified against a local venue built from the vendor's documentation and its official client; not run with a live account.
"""

from adapters.brokers.upstox.account import AccountSettings
from adapters.brokers.upstox.broker import UpstoxBroker
from adapters.brokers.upstox.gtt import Bracket, Brackets

__all__ = ["AccountSettings", "Bracket", "Brackets", "UpstoxBroker"]
