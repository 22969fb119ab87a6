"""Messages as no sender should write them: seeded, so that a failure can be run again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

USERS = tuple(f"fuzz-{number}" for number in range(5))
ACTIONS = ("START_TRADING", "STOP_TRADING", "PAUSE_TRADING", "RESUME_TRADING", "UPDATE_CONFIG", "SQUARE_OFF", "GET_STATUS")
"""All but the operator's, which would stop everybody when a mutation leaves it whole."""

_ODD_VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1e308, 10**40, 2**63, "", " ", "\x00", "\ud800", "💥" * 50, "NaN", "1e9999", [], [[]], {}, {"": {}},
    ["a"] * 200, "x" * 5_000, "../../etc/passwd", "$where", {"$gt": ""}, "${jndi:x}", "%s%n",
)  # fmt: skip
_ODD_MESSAGES: tuple[bytes, ...] = (
    b"",
    b"\x00" * 100,
    b"null",
    b"true",
    b"0",
    b'"START_TRADING"',
    b"[" * 10_000,
    b'{"a":' * 5_000,
    b'{"action":"START_TRADING","user_id":"fuzz-0","data":' + b"[" * 5_000,
    b'{"action":"START_TRADING","user_id":' + b"9" * 5_000 + b"}",
    b'{"action":"START_TRADING","user_id":"fuzz-0","data":{"capital":1e9999}}',
    b'{"action":"START_TRADING","user_id":"fuzz-0","data":{"capital":-Infinity}}',
    b'{"action":"STOP_TRADING","action":"DANCE","user_id":"fuzz-0"}',
    b'{"action":"STOP_TRADING","user_id":"fuzz-0","data":{},"extra":"\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"{'action': 'START_TRADING'}",
    b" " * (64 * 1024 + 1),
    b"A" * 200_000,
)


def messages(seed: int, count: int) -> Iterator[bytes]:
    """Whole commands with one to four things wrong, and now and then something that is no command at all."""
    chance = random.Random(seed)
    for number in range(count):
        if number % 20 == 0:
            yield chance.choice(_ODD_MESSAGES)
        else:
            yield _mutated(chance, number)


def _mutated(chance: random.Random, number: int) -> bytes:
    command: dict[str, object] = {
        "action": chance.choice(ACTIONS),
        "user_id": chance.choice(USERS),
        "command_id": f"fuzz-{number}-{chance.getrandbits(64):x}",
        "data": {
            "capital": 500_000,
            "sizing": {"method": "fixed", "quantity": 30},
            "risk": {"max_daily_loss": 1000},
            "placement": "packed",
        },
    }
    for _ in range(chance.randint(1, 2)):
        chance.choice(_CHANGES)(chance, command)
    payload = bytearray(json.dumps(command).encode())
    for _ in range(chance.choice((0, 0, 1, 2))):
        chance.choice(_DAMAGES)(chance, payload)
    return bytes(payload)


def _replace(chance: random.Random, command: dict[str, object]) -> None:
    command[chance.choice(("action", "user_id", "data"))] = chance.choice(_ODD_VALUES)


def _drop(chance: random.Random, command: dict[str, object]) -> None:
    command.pop(chance.choice(("action", "user_id", "data")), None)


def _spoil_data(chance: random.Random, command: dict[str, object]) -> None:
    field = chance.choice(("capital", "sizing", "risk", "mode", "strategy", "parameters", "protection", "timeframe", "moon"))
    data = command.get("data")
    if isinstance(data, dict):
        command["data"] = {**data, field: chance.choice(_ODD_VALUES)}


def _add(chance: random.Random, command: dict[str, object]) -> None:
    command[f"field-{chance.randint(0, 9)}"] = chance.choice(_ODD_VALUES)


def _flip(chance: random.Random, payload: bytearray) -> None:
    payload[chance.randrange(len(payload))] = chance.randrange(256)


def _cut(chance: random.Random, payload: bytearray) -> None:
    del payload[chance.randint(1, len(payload)) :]


def _repeat(chance: random.Random, payload: bytearray) -> None:
    start = chance.randrange(len(payload))
    payload[start:start] = payload[start : start + chance.randint(1, 50)]


_CHANGES: tuple[Callable[[random.Random, dict[str, object]], None], ...] = (_replace, _drop, _spoil_data, _spoil_data, _add)
_DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (_flip, _flip, _cut, _repeat)
