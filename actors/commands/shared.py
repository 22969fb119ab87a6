"""Options that commands share, and the way to the running system."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, cast

import typer

from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from actors.client import Client
    from configs.settings import Settings
    from runtime.ports import Bus, Journal, Store

T = TypeVar("T")

DATABASE = "shoal"
PATIENCE_SECONDS = 3.0
"""How long a command keeps trying to reach a server before it says that it cannot."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StateOption = Annotated[
    Path | None, typer.Option("--state", help="State folder of the running system (default: SHOAL_STATE, then .shoal).")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="Seconds to wait for the answer.")]
ChannelFlag = Annotated[bool, typer.Option("--pubsub", help="Send by the pub/sub channel instead of the stream.")]
SettingsOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable.")]
UserArgument = Annotated[str, typer.Argument(help="User id.", metavar="USER")]


class Connection(NamedTuple):
    client: Client
    store: Store
    journal: Journal
    bus: Bus


@asynccontextmanager
async def connected(state: Path | None) -> AsyncGenerator[Connection]:
    """The running system's bus, store and journal. Raises `ServerUnavailable` when nothing runs."""
    from actors.client import Client
    from adapters.mongo import MongoJournal, MongoStore
    from adapters.redis_bus import RedisBus
    from configs.running import read_running

    running = read_running(state)
    bus = RedisBus(running.redis_url, patience_seconds=PATIENCE_SECONDS)
    store = MongoStore(running.mongodb_url, DATABASE, patience_seconds=PATIENCE_SECONDS)
    journal = MongoJournal(running.mongodb_url, DATABASE, patience_seconds=PATIENCE_SECONDS)
    try:
        yield Connection(Client(bus), store, journal, bus)
    finally:
        await journal.close()
        await store.close()
        await bus.close()


def call(state: Path | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` against the running system."""

    async def connect() -> T:
        async with connected(state) as connection:
            return await work(connection)

    return asyncio.run(connect())


def mongodb_url(state: Path | None, stack: ExitStack, *, at_rest: bool = True, create: bool = False) -> str:
    """Of the running system; else (`at_rest`) of its data at rest, for as long as `stack` is open; else (`create`) of a new database there.

    Raises:
        ServerUnavailable: none of these; says what to do.
    """
    from configs.running import DEFAULT_STATES, find_data, read_running
    from runtime.errors import ServerUnavailable

    try:
        return read_running(state).mongodb_url
    except ServerUnavailable:
        folder = find_data(state) if at_rest else None
        if folder is None and create:
            folder = state or DEFAULT_STATES[0]
        if folder is None:
            raise
    from adapters.embedded import EmbeddedServers

    only_mongodb = EmbeddedServers(folder, redis_url="redis://not-needed")
    return stack.enter_context(only_mongodb).urls.mongodb


def console(*, stderr: bool = False) -> Console:
    """Wide where it is no terminal: a table in a file or a pipe is not cut at 80 columns."""
    from rich.console import Console

    found = Console(stderr=stderr)
    if not found.is_terminal:
        found.width = 200
    return found


def profile_settings(profile: str) -> Settings:
    """Raises `InvalidInput` for a profile that does not exist, `InvalidConfig` for settings that are not allowed."""
    from configs.settings import Profile, load_settings

    if profile not in [*Profile]:
        raise InvalidInput("--profile", profile, f"must be one of {', '.join(Profile)}")
    return load_settings(Profile(profile))


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """`risk.max_daily_loss=5000` becomes {"risk": {"max_daily_loss": 5000}}; a value that is not JSON is text."""
    parsed: dict[str, Any] = {}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        if not (key and equals):
            raise InvalidInput("--set", setting, "write KEY=VALUE, such as risk.max_daily_loss=5000")
        *path, name = key.split(".")
        target = parsed
        for part in path:
            inner: Any = target.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InvalidInput("--set", setting, f"{part} already has a value of its own")
            target = cast("dict[str, Any]", inner)
        target[name] = _value(text)
    return parsed


def parse_data(text: str | None) -> dict[str, Any]:
    """A JSON object, or the file that holds one, as `@file`."""
    if not text:
        return {}
    try:
        content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        data: object = json.loads(content)
    except OSError as error:
        raise InvalidInput("--data", text, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput("--data", "as given", f"is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput("--data", "as given", 'must be a JSON object, such as {"capital": 250000}')
    return cast("dict[str, Any]", data)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
