"""A local Upstox: REST, market data feed and portfolio stream as documented, over a simulated market, with scriptable faults."""

from tests.venues.upstox.accounts import TokenKind
from tests.venues.upstox.settings import AccountSettings, StaticAddresses, VenueSettings, simple
from tests.venues.upstox.venue import UpstoxVenue, Urls

__all__ = ["AccountSettings", "StaticAddresses", "TokenKind", "UpstoxVenue", "Urls", "VenueSettings", "simple"]
