"""`shoal credentials`: what is in the vault. A secret comes by standard input or a prompt, never by the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands.shared import Connection, JsonFlag, StateOption, UserArgument, call, profile_settings
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from adapters.vault import EncryptedVault, KeyFile
    from runtime.ports import CredentialEntry

app = typer.Typer(name="credentials", help="Users' broker secrets in the vault.", no_args_is_help=True, rich_markup_mode="markdown")

BrokerOption = Annotated[str, typer.Option("--broker", help="Which broker's.")]
UPSTOX = "upstox"


@app.command()
def add(user: UserArgument, broker: BrokerOption = UPSTOX, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Put a user's access token into the vault; an earlier one is replaced.

    Examples:
    - `shoal credentials add 123` (asks for the token)

    - `pass show upstox/123 | shoal credentials add 123`
    """
    secret = _read_secret()

    async def put(connection: Connection) -> str:
        return await _vault(connection, state).put(user, broker, secret)

    reference = call(state, put)
    _say(f"kept as {reference}", {"kept": reference}, as_json=as_json)


@app.command()
def rotate(
    user: Annotated[str | None, typer.Argument(metavar="USER", help="Whose token; leave it out with --master-key.")] = None,
    broker: BrokerOption = UPSTOX,
    master_key: Annotated[bool, typer.Option("--master-key", help="Replace the key that all entries are under.")] = False,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Replace a user's token by the one of today's login, or the vault's master key by a new one.

    A session that was paused because its token had expired goes on reading the vault: after `rotate` send `shoal resume USER`.

    Examples:
    - `shoal credentials rotate 123`

    - `shoal credentials rotate --master-key`
    """
    if master_key == (user is not None):
        raise InvalidInput("USER", user, "name a user, or give --master-key, not both")
    if user is None:
        count = call(state, lambda connection: _rotate_master(connection, state))
        _say(f"{count} entries put under a new master key", {"rewrapped": count}, as_json=as_json)
        return
    secret = _read_secret()

    async def replace(connection: Connection) -> str:
        vault = _vault(connection, state)
        await vault.get(f"{user}/{broker}")  # refuses a user who has none: a slip of the pen, not a rotation
        return await vault.put(user, broker, secret)

    reference = call(state, replace)
    _say(f"replaced {reference}", {"replaced": reference}, as_json=as_json)


@app.command()
def remove(user: UserArgument, broker: BrokerOption = UPSTOX, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Delete a user's token. A running session keeps the one it has until it ends.

    Example: `shoal credentials remove 123`
    """

    async def delete(connection: Connection) -> None:
        vault = _vault(connection, state)
        await vault.get(f"{user}/{broker}")
        await vault.remove(f"{user}/{broker}")

    call(state, delete)
    _say(f"removed {user}/{broker}", {"removed": f"{user}/{broker}"}, as_json=as_json)


@app.command("test")
def try_out(
    user: UserArgument,
    broker: BrokerOption = UPSTOX,
    profile: Annotated[str, typer.Option("--profile", help="Settings profile that names the broker's addresses.")] = "live",
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Log in with a user's token and say whether the broker takes it. Reads only.

    Example: `shoal credentials test 123`
    """
    from runtime.session import SessionConfig

    async def log_in(connection: Connection) -> None:
        from datetime import UTC, datetime

        from actors.brokerage import Brokerage

        settings, vault = profile_settings(profile), _vault(connection, state)
        brokerage = Brokerage(
            vault, connection.store, upstox=settings.upstox, accounts=settings.accounts, now=lambda: datetime.now(UTC), fetches=False
        )
        account = await brokerage.connect(user, SessionConfig(broker=broker, credentials=f"{user}/{broker}"))
        try:
            await account.open()
        finally:
            await account.close()

    call(state, log_in)
    _say(f"{broker} takes the token of {user}", {"user_id": user, "broker": broker, "taken": True}, as_json=as_json)


@app.command("list")
def list_entries(state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Who has an entry, and since when. No secret is read.

    Example: `shoal credentials list`
    """

    async def entries(connection: Connection) -> list[CredentialEntry]:
        return await _vault(connection, state).entries()

    found = call(state, entries)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found).decode())
        return
    typer.echo(f"{'USER':<24} {'BROKER':<12} {'SINCE':<20} MASTER KEY")
    for entry in found:
        since = "" if entry.updated_at is None else f"{entry.updated_at:%Y-%m-%d %H:%M:%S}"
        typer.echo(f"{entry.user_id:<24} {entry.broker:<12} {since:<20} {entry.key_id}")


def _say(text: str, data: dict[str, object], *, as_json: bool) -> None:
    import json

    typer.echo(json.dumps(data) if as_json else text)


def _read_secret() -> str:
    """One line of standard input; asked for without echo at a terminal."""
    import getpass

    secret = getpass.getpass("access token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not secret.strip():
        raise InvalidInput("access token", "", "is empty: type it at the prompt or send it by standard input")
    return secret.strip()


def _vault(connection: Connection, state: Path | None) -> EncryptedVault:
    from adapters.vault import EncryptedVault

    return EncryptedVault(connection.store, key_file(state))


def key_file(state: Path | None) -> KeyFile:
    """In the state folder of the running system (`--state`, SHOAL_STATE, else the usual ones): the key that its actors use."""
    import os

    from actors.live_services import VAULT_KEY
    from adapters.vault import KeyFile
    from configs.running import DEFAULT_STATES, find_state

    named = Path(os.environ["SHOAL_STATE"]) if os.environ.get("SHOAL_STATE") else None
    return KeyFile((state or named or find_state() or DEFAULT_STATES[0]) / VAULT_KEY)


async def _rotate_master(connection: Connection, state: Path | None) -> int:
    """May be repeated after an interruption at any point: entries under the old key stay readable until the last is done."""
    from adapters.vault import EncryptedVault

    keys = key_file(state)
    keys.begin_rotation()
    count = await EncryptedVault(connection.store, keys).rewrap()
    keys.end_rotation()
    return count
