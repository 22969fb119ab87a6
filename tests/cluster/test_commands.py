"""The public contract of commands and events, seen by a program that has nothing but Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast
from uuid import uuid4

import pytest
import redis

from runtime import channels
from runtime.events import EventType, PublicEvent
from tests.cluster.conftest import CLUSTER, Platform
from tests.faults.outside import DOORS, Door, Outside

pytestmark = CLUSTER

LIMIT = 64 * 1024


@pytest.fixture
def user() -> str:
    return f"user-{uuid4().hex[:8]}"


@pytest.fixture
def running(outside: Outside, user: str) -> Iterator[str]:
    outside.ask("START_TRADING", user)
    yield user
    outside.ask("STOP_TRADING", user, {"positions": "close"})


def types(events: list[PublicEvent]) -> list[str]:
    return [str(event.type) for event in events]


@pytest.mark.parametrize("door", DOORS)
def test_start_without_any_data_begins_a_paper_session_of_the_default_strategy(outside: Outside, user: str, door: Door) -> None:
    answer = outside.ask("START_TRADING", user, door=door)
    outside.wait(lambda: len(outside.of(user)) == 2, 10, "the session")
    accepted, started = outside.of(user)
    assert accepted == answer
    assert (accepted.type, accepted.data["status"]) == (EventType.COMMAND_ACCEPTED, "RUNNING")
    assert (started.type, started.data["mode"], started.data["broker"]) == (EventType.SESSION_STARTED, "paper", "paper")
    [strategy] = cast("list[str]", started.data["strategies"])
    assert strategy.startswith("index_options_scalper:NSE:BANKNIFTY:1m:")
    assert [accepted.seq, started.seq] == [1, 2]


def test_a_numeric_user_id_is_taken_as_text(outside: Outside) -> None:
    outside.send_raw(b'{"action": "START_TRADING", "user_id": 123, "command_id": "numeric", "data": {}}', "channel")
    assert outside.answer("numeric").user_id == "123"


def test_a_second_start_updates_the_configuration(outside: Outside, running: str) -> None:
    answer = outside.ask("START_TRADING", running, {"capital": 750_000})
    assert answer.data["updated"] is True
    assert outside.ask("GET_STATUS", running).data["capital"] == "750000"
    assert len(outside.of(running, EventType.SESSION_STARTED)) == 1


@pytest.mark.parametrize("again", DOORS)
@pytest.mark.parametrize("first", DOORS)
def test_a_repeated_command_id_is_answered_with_the_first_outcome_and_changes_nothing(
    outside: Outside, user: str, first: Door, again: Door
) -> None:
    outside.ask("START_TRADING", user)
    stopped = outside.ask("STOP_TRADING", user, command_id=f"stop-{user}", door=first)
    outside.ask("START_TRADING", user)
    outside.send("STOP_TRADING", user, command_id=stopped.data["command_id"], door=again)
    outside.wait(lambda: len(outside.answers[f"stop-{user}"]) == 2, 10, "the second answer")
    repeated = outside.answers[f"stop-{user}"][1]
    assert (repeated.type, repeated.data) == (stopped.type, {**stopped.data, "repeated": True})
    assert outside.ask("GET_STATUS", user).data["status"] == "RUNNING"
    assert len(outside.of(user, EventType.SESSION_STOPPED)) == 1


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("action", ["STOP_TRADING", "PAUSE_TRADING", "RESUME_TRADING", "UPDATE_CONFIG", "SQUARE_OFF"])
def test_a_user_without_a_session_is_told_that_it_is_not_running(outside: Outside, user: str, action: str, door: Door) -> None:
    answer = outside.ask(action, user, door=door)
    assert (answer.type, answer.user_id) == (EventType.COMMAND_REJECTED, user)
    assert (answer.data["field"], answer.data["reason"]) == ("user_id", "not_running")


@pytest.mark.parametrize("door", DOORS)
def test_a_message_over_64_kib_is_refused_unread(outside: Outside, user: str, door: Door) -> None:
    def too_large() -> list[PublicEvent]:
        return [event for event in outside.of("_platform", EventType.COMMAND_REJECTED) if event.data["reason"] == "too_large"]

    before = len(too_large())
    fits = {"action": "GET_STATUS", "user_id": user, "command_id": f"fits-{user}", "data": {}}
    text = json.dumps(fits)
    outside.send_raw((text + " " * (LIMIT - len(text))).encode(), door)
    outside.answer(f"fits-{user}")
    assert len(too_large()) == before
    outside.send_raw((text + " " * (LIMIT - len(text) + 1)).encode(), door)
    outside.wait(lambda: len(too_large()) == before + 1, 10, "the refusal")
    assert too_large()[-1].data["field"] == "message"


def test_pause_resume_update_square_off_and_status_do_what_they_say(outside: Outside, running: str) -> None:
    assert outside.ask("PAUSE_TRADING", running).data["status"] == "PAUSED"
    assert outside.ask("GET_STATUS", running).data["status"] == "PAUSED"
    assert outside.ask("RESUME_TRADING", running).data["status"] == "RUNNING"
    outside.ask("UPDATE_CONFIG", running, {"capital": "123456.50"})
    status = outside.ask("GET_STATUS", running).data
    assert (status["status"], status["capital"], status["positions"], status["orders"]) == ("RUNNING", "123456.50", [], [])
    assert outside.ask("SQUARE_OFF", running).type is EventType.COMMAND_ACCEPTED
    said = [event for event in outside.of(running) if event.type not in {EventType.COMMAND_ACCEPTED, EventType.HEARTBEAT}]
    assert types(said) == ["SESSION_STARTED", "SESSION_PAUSED", "SESSION_RESUMED"]


def test_halt_reaches_every_session_and_one_that_starts_meanwhile_until_resume(outside: Outside, running: str, user: str) -> None:
    late = f"late-{user}"
    halted = outside.ask("HALT_ALL", data={"reason": "drill"})
    assert (halted.type, halted.user_id) == (EventType.COMMAND_ACCEPTED, "_platform")
    outside.wait(lambda: bool(outside.of(running, EventType.RISK_HALT)), 10, "the halt")
    outside.ask("START_TRADING", late)
    assert [outside.ask("GET_STATUS", name).data["halted"] for name in (running, late)] == ["drill", "drill"]
    assert outside.ask("RESUME_TRADING", running).type is EventType.COMMAND_ACCEPTED  # a user's own command does not lift it
    assert outside.ask("GET_STATUS", running).data["halted"] == "drill"

    outside.ask("RESUME_ALL")
    outside.wait(lambda: all(outside.of(name, EventType.RISK_RESUMED) for name in (running, late)), 10, "the release")
    assert [outside.ask("GET_STATUS", name).data["halted"] for name in (running, late)] == [None, None]
    assert [event.data for event in outside.of(late, EventType.RISK_HALT)] == [
        {"reason": "kill_switch", "detail": "drill", "scope": "platform"}
    ]


@pytest.mark.parametrize(
    ("message", "heard_by", "field", "reason"),
    [
        (b"{", "_platform", "message", "malformed_json"),
        (b"[]", "_platform", "message", "invalid"),
        (b"\xff\xfe", "_platform", "message", "malformed_json"),
        (b'{"action": "DANCE", "user_id": "u-bad"}', "u-bad", "action", "unknown_action"),
        (b'{"action": "START_TRADING"}', "_platform", "user_id", "invalid"),
        (b'{"action": "START_TRADING", "user_id": "u-bad", "data": {"strategy": "moon"}}', "u-bad", "data.strategy", "unknown_strategy"),
        (b'{"action": "START_TRADING", "user_id": "u-bad", "data": {"broker": "moon"}}', "u-bad", "data.broker", "unknown_broker"),
        (b'{"action": "START_TRADING", "user_id": "u-bad", "data": {"capital": NaN}}', "_platform", "message", "malformed_json"),
        (b'{"action": "START_TRADING", "user_id": "u-bad", "data": {"capital": "much"}}', "u-bad", "data.capital", "invalid"),
        (b'{"action": "START_TRADING", "user_id": "u-bad", "data": {"capitol": 1}}', "u-bad", "data.capitol", "invalid"),
        (b'{"action": "STOP_TRADING", "user_id": "u-bad", "data": {"positions": "all"}}', "u-bad", "data.positions", "invalid"),
    ],
)
@pytest.mark.parametrize("door", DOORS)
def test_a_bad_command_gets_one_rejection_naming_field_and_reason(
    outside: Outside, door: Door, message: bytes, heard_by: str, field: str, reason: str
) -> None:
    before = len(outside.of(heard_by, EventType.COMMAND_REJECTED))
    outside.send_raw(message, door)
    outside.wait(lambda: len(outside.of(heard_by, EventType.COMMAND_REJECTED)) > before, 10, "the rejection")
    rejected = outside.of(heard_by, EventType.COMMAND_REJECTED)[before:]
    assert [(event.data["field"], event.data["reason"]) for event in rejected] == [(field, reason)]


def test_every_event_is_heard_on_both_channels_and_can_be_replayed_from_the_stream(platform: Platform, user: str) -> None:
    outside = platform.outside
    listener = redis.Redis.from_url(platform.system.running.redis_url, protocol=2, socket_timeout=10).pubsub()
    listener.subscribe(channels.EVENTS, channels.user_events(user))
    outside.ask("START_TRADING", user)
    outside.wait(lambda: len(outside.of(user)) == 2, 10, "the session")
    [(last_seen, _)] = cast("Any", outside.redis.xrevrange(channels.EVENTS_STREAM, count=1))
    heard: dict[str, list[bytes]] = {channels.EVENTS: [], channels.user_events(user): []}
    while len(heard[channels.user_events(user)]) < 2 or len(heard[channels.EVENTS]) < 2:
        message = listener.get_message(timeout=10)
        assert message is not None
        if message["type"] == "message" and json.loads(message["data"])["user_id"] == user:
            heard[message["channel"].decode()].append(message["data"])
    listener.close()  # the subscriber goes away, and misses what follows
    outside.ask("PAUSE_TRADING", user)
    outside.ask("STOP_TRADING", user)
    outside.wait(lambda: len(outside.of(user)) == 6, 10, "pause and stop")

    entries = cast("Any", outside.redis.xread({channels.EVENTS_STREAM: last_seen}))[0][1]
    missed = [fields[b"event"] for _, fields in entries if json.loads(fields[b"event"])["user_id"] == user]
    assert heard[channels.EVENTS] == heard[channels.user_events(user)]
    everything = [json.loads(text) for text in heard[channels.EVENTS] + missed]
    assert [event["seq"] for event in everything] == [1, 2, 3, 4, 5, 6]
    assert {event["v"] for event in everything} == {1}
