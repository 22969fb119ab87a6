"""Nonsense by the thousand on the real doors: each message has one answer, and the runtime goes on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.events import EventType
from tests.cluster.conftest import CLUSTER
from tests.faults.fuzzer import ACTIONS, USERS, messages
from tests.faults.outside import ANSWERS, Door, Outside

pytestmark = CLUSTER

COUNT = 2_000
AHEAD = 200
"""Messages sent before their answers are awaited: Redis cuts a subscriber that lies too far behind."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
COMMAND_LIKE = st.fixed_dictionaries(
    {"data": JSON}, optional={"action": st.sampled_from(ACTIONS) | JSON, "user_id": st.sampled_from(USERS) | JSON, "more": JSON}
)
PAYLOADS = st.binary(max_size=200) | st.one_of(JSON, COMMAND_LIKE).map(lambda value: json.dumps(value).encode())


def answers(outside: Outside) -> int:
    return sum(event.type in ANSWERS for event in outside.events)


def send_all(outside: Outside, payloads: list[bytes], door: Callable[[], Door], seconds: float) -> None:
    """Each is answered once; raises `AssertionError` when one is not."""
    expected = answers(outside) + len(payloads)
    for payload in payloads:
        outside.send_raw(payload, door())
    outside.wait(lambda: answers(outside) >= expected, seconds, f"{len(payloads)} answers")
    assert answers(outside) == expected


def test_two_thousand_damaged_commands_are_each_answered_once(outside: Outside) -> None:
    chance = random.Random(11)
    alive = outside.ask("START_TRADING", "bystander")
    payloads = list(messages(seed=11, count=COUNT))
    for start in range(0, COUNT, AHEAD):
        send_all(outside, payloads[start : start + AHEAD], lambda: chance.choice(("channel", "stream")), 60)
    rejected = sum(event.type is EventType.COMMAND_REJECTED for event in outside.events)
    assert rejected > COUNT // 2
    status = outside.ask("GET_STATUS", "bystander")
    assert (status.data["status"], status.data["capital"]) == ("RUNNING", "500000")
    assert [event.type for event in outside.of("bystander")] == [alive.type, EventType.SESSION_STARTED, status.type]
    for user in USERS:
        outside.ask("STOP_TRADING", user, {"positions": "close"})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=10, unique=True), door=st.sampled_from(["channel", "stream"]))
def test_whatever_is_sent_it_is_answered_and_so_is_the_next_command(outside: Outside, payloads: list[bytes], door: Door) -> None:
    send_all(outside, payloads, lambda: door, 30)
    assert outside.ask("GET_STATUS", "bystander").user_id == "bystander"
