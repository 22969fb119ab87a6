"""Upstox's market data as a `runtime.ports.Feed`: live ticks over one socket, history by HTTP, sessions into the calendar.

Verified against a local venue built from the vendor's documentation and its official client; not run with a live account.
"""

from adapters.feeds.upstox.feed import UpstoxFeed
from adapters.feeds.upstox.health import FeedHealth, FeedState

__all__ = ["FeedHealth", "FeedState", "UpstoxFeed"]
