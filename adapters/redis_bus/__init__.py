"""The bus on Redis or Valkey."""

from adapters.redis_bus.bus import RedisBus

__all__ = ["RedisBus"]
