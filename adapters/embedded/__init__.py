"""Real Valkey and MongoDB servers from wheels, for demo, development and tests. Never for production."""

from adapters.embedded.servers import EmbeddedServers, ServerUrls

__all__ = ["EmbeddedServers", "ServerUrls"]
