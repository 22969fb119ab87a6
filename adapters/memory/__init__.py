"""Bus, journal and store in one process's memory: deterministic, at home on any event loop, virtual time included."""

from adapters.memory.bus import MemoryBus, MemoryServer
from adapters.memory.journal import MemoryJournal
from adapters.memory.store import MemoryStore

__all__ = ["MemoryBus", "MemoryJournal", "MemoryServer", "MemoryStore"]
