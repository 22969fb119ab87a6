"""The Upstox protocol, shared by the feed, option-chain, broker and instrument adapters: addresses, token, HTTP, messages.

Verified against a local venue built from the vendor's documentation and its official client; not run with a live account.
"""

from adapters.upstox.client import UpstoxClient
from adapters.upstox.endpoints import Egress, Endpoints
from adapters.upstox.token import AccessToken

__all__ = ["AccessToken", "Egress", "Endpoints", "UpstoxClient"]
