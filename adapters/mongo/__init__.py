"""Store and journal on MongoDB."""

from adapters.mongo.journal import MongoJournal
from adapters.mongo.store import MongoStore

__all__ = ["MongoJournal", "MongoStore"]
