from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.commands import (
    MAX_BYTES,
    Action,
    GetStatus,
    HaltAll,
    InvalidCommand,
    RejectReason,
    ResumeAll,
    StartTrading,
    StopTrading,
    command_schema,
    parse_command,
)
from runtime.session import OnBreach

NOW = datetime(2026, 11, 20, 4, 0, 0, 250_000, tzinfo=UTC)


def payload(action: str = "START_TRADING", **fields: Any) -> bytes:
    return json.dumps({"action": action, "user_id": "123", **fields}).encode()


def refused(message: bytes) -> InvalidCommand:
    with pytest.raises(InvalidCommand) as caught:
        parse_command(message, NOW)
    return caught.value


def test_the_two_actions_every_publisher_sends_are_understood_with_nothing_but_a_user() -> None:
    start = parse_command(b'{"action": "START_TRADING", "user_id": "123", "data": {}}', NOW)
    stop = parse_command(b'{"action": "STOP_TRADING", "user_id": "123"}', NOW)

    assert isinstance(start, StartTrading)
    assert start.user_id == "123"
    assert isinstance(stop, StopTrading)
    assert stop.data.positions is OnBreach.KEEP


@pytest.mark.parametrize(("sent", "read"), [(123, "123"), ("a" * 64, "a" * 64), ("x_Y.z@h-1", "x_Y.z@h-1")])
def test_a_user_id_is_text_and_a_number_becomes_text(sent: object, read: str) -> None:
    command = parse_command(payload(user_id=sent), NOW)
    assert isinstance(command, StartTrading)
    assert command.user_id == read


@pytest.mark.parametrize("user_id", ["", "_platform", "a" * 65, "a b", "a:b", "é", "1\n", True, 1.5, None, ["1"], {"a": 1}, 10**70])
def test_any_other_user_id_is_refused_by_name(user_id: object) -> None:
    error = refused(payload(user_id=user_id, command_id="c-1"))
    assert (error.field, error.action, error.user_id, error.command_id) == ("user_id", "START_TRADING", "", "c-1")


@pytest.mark.parametrize("action", ["HALT_ALL", "RESUME_ALL"])
def test_the_kill_switch_needs_no_user(action: str) -> None:
    command = parse_command(json.dumps({"action": action}).encode(), NOW)
    assert isinstance(command, HaltAll | ResumeAll)
    assert command.user_id is None


def test_every_other_action_needs_one() -> None:
    for action in set(Action) - {
        Action.START_CANARY,
        Action.PROMOTE_CANARY,
        Action.ABORT_CANARY,
        Action.HALT_ALL,
        Action.RESUME_ALL,
        Action.HALT,
        Action.RESUME,
        Action.PUBLISH_SIGNAL,
        Action.DRAIN_HOST,
    }:
        assert refused(json.dumps({"action": action}).encode()).field == "user_id"


def test_a_command_id_is_kept_and_a_missing_one_derives_from_content_and_second() -> None:
    def derived(message: bytes, at: datetime = NOW) -> str:
        return parse_command(message, at).command_id

    one = b'{"action": "START_TRADING", "user_id": "1", "data": {"mode": "paper", "capital": 5}}'
    same = b'{"data": {"capital": 5, "mode": "paper"}, "user_id": "1", "action": "START_TRADING"}'

    assert parse_command(payload(command_id="my id 7"), NOW).command_id == "my id 7"
    assert derived(one) == derived(same) == derived(one, NOW + timedelta(milliseconds=700))
    assert derived(one) != derived(one, NOW + timedelta(seconds=1))
    assert derived(one) != derived(one.replace(b"5", b"6"))


@pytest.mark.parametrize("command_id", ["a" * 129, "tab\t", "é", 5, None])
def test_a_command_id_that_cannot_be_echoed_is_refused(command_id: object) -> None:
    assert refused(payload(command_id=command_id)).field == "command_id"


def test_a_message_over_64_kib_is_refused_unread_and_one_of_64_kib_is_read() -> None:
    fits = payload() + b" " * (MAX_BYTES - len(payload()))
    assert isinstance(parse_command(fits, NOW), StartTrading)
    error = refused(fits + b" ")
    assert (error.field, error.reason) == ("message", RejectReason.TOO_LARGE)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"START",
        b"{",
        b'{"action": NaN}',
        b'{"action": Infinity}',
        b"\xff\xfe{}",
        b'{"action": "\\ud800"}',
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"user_id":' + b"9" * 5_000 + b"}",
        payload() + b"{}",
    ],
    ids=lambda message: repr(message[:16]),
)
def test_what_is_not_json_is_refused_as_such(message: bytes) -> None:
    assert refused(message).reason is RejectReason.MALFORMED_JSON


@pytest.mark.parametrize("message", [b"[]", b"null", b"1", b'"START_TRADING"'])
def test_json_that_is_no_object_is_refused(message: bytes) -> None:
    assert refused(message).field == "message"


@pytest.mark.parametrize("action", ["BUY_EVERYTHING", "start_trading", "", 5, None, ["START_TRADING"], {"START_TRADING": 1}])
def test_an_unknown_action_lists_the_known_ones(action: Any) -> None:
    error = refused(payload(action))
    assert (error.field, error.reason, error.user_id) == ("action", RejectReason.UNKNOWN_ACTION, "123")
    assert "START_TRADING, STOP_TRADING" in error.detail


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (None, "data"),
        ([], "data"),
        ({"capitol": 5}, "data.capitol"),
        ({"capital": 0}, "data.capital"),
        ({"capital": -1}, "data.capital"),
        ({"capital": True}, "data.capital"),
        ({"capital": "NaN"}, "data.capital"),
        ({"capital": "1e-999999"}, "data.capital"),
        ({"capital": "1e999999"}, "data.capital"),
        ({"mode": "demo"}, "data.mode"),
        ({"broker": "../../x"}, "data.broker"),
        ({"fees": "flat:2"}, "data.fees"),
        ({"slippage_percent": 11}, "data.slippage_percent"),
        ({"placement": "anywhere"}, "data.placement"),
        ({"access_token": ""}, "data.access_token"),
        ({"access_token": 5}, "data.access_token"),
        ({"risk": {"max_orders_per_second": 8.0}}, "data.risk.max_orders_per_second"),
        ({"risk": {"max_daily_loss": 0}}, "data.risk.max_daily_loss"),
        ({"subscriptions": []}, "data.subscriptions"),
        ({"subscriptions": [{}, {"timeframe": "2m"}]}, "data.subscriptions.1.timeframe"),
        ({"parameters": {"period": None}}, "data.parameters.period"),
        ({"parameters": {"period": {"a": 1}}}, "data.parameters.period"),
        ({"parameters": {"period": 10**400}}, "data.parameters.period"),
        ({"protection": {"square_off": "25:00"}}, "data.protection.square_off"),
        ({"protection": {"square_off": "15:00Z"}}, "data.protection.square_off"),
        ({"protection": {"stop": {"value": "-1"}}}, "data.protection.stop.value"),
        ({"cooldown_minutes": -1}, "data.cooldown_minutes"),
        ({"cooldown_minutes": True}, "data.cooldown_minutes"),
        ({"strategy": "a", "subscriptions": [{}]}, "data"),
        ({"credentials": "a", "access_token": "b"}, "data"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(data: object, field: str) -> None:
    assert refused(payload(data=data)).field == field


def test_a_parameter_too_large_for_a_float_is_refused() -> None:
    assert refused(b'{"action":"START_TRADING","user_id":"1","data":{"parameters":{"x":1e400}}}').field == "data.parameters.x"


def test_no_data_means_no_data() -> None:
    assert refused(payload("SQUARE_OFF", data={"now": True})).field == "data.now"
    assert isinstance(parse_command(payload("GET_STATUS", data={}), NOW), GetStatus)


@pytest.mark.parametrize(
    "data",
    [
        {"access_token": ["canary-7f3a"]},
        {"acess_token": "canary-7f3a"},
        {"mode": "canary-7f3a"},
        {"credentials": "canary 7f3a canary-7f3a"},
        {"access_token": "canary-7f3a", "credentials": "x"},
        {"access_token": "canary-7f3a", "capital": "much"},
        {"risk": {"on_breach": "canary-7f3a"}},
    ],
)
def test_a_secret_is_never_repeated_wherever_it_was_put(data: dict[str, object]) -> None:
    error = refused(payload(data=data))
    assert "canary" not in f"{error} {error!r} {error.event_data()} {error.__cause__} {error.__context__}"


def test_a_token_is_hidden_in_every_representation_of_the_command() -> None:
    command = parse_command(payload(data={"access_token": "canary-7f3a"}), NOW)
    assert "canary" not in f"{command} {command!r} {command.model_dump()} {command.model_dump_json()}"
    assert isinstance(command, StartTrading)
    assert command.data.access_token is not None
    assert command.data.access_token.get_secret_value() == "canary-7f3a"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
data_names = st.sampled_from(["strategy", "parameters", "capital", "risk", "subscriptions", "protection", "mode", "access_token", "other"])


@given(
    st.sampled_from([*Action, "NO_SUCH"]),
    json_values | st.just("7"),
    json_values | st.dictionaries(data_names, json_values, max_size=4),
)
def test_any_json_is_a_command_or_an_invalid_command(action: str, user_id: Any, data: Any) -> None:
    is_command_or_refusal(json.dumps({"action": action, "user_id": user_id, "data": data}).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_an_invalid_command(message: bytes) -> None:
    is_command_or_refusal(message)


def test_twenty_thousand_mutations_of_good_commands_are_commands_or_invalid_commands() -> None:
    generator = random.Random(20261120)
    good = [
        payload(data={"capital": "250000.50", "risk": {"max_daily_loss": 5e3}, "access_token": "t"}, command_id="c"),
        payload("STOP_TRADING", data={"positions": "close"}),
        payload(data={"subscriptions": [{"strategy": "ema_cross", "parameters": {"fast_period": 5}, "cooldown_minutes": 1.5}]}),
        payload("HALT_ALL", data={"reason": "drill"}),
    ]
    alphabet = b'{}[]",:0123456789.eE+-\\utfnNaI \x00\xff\xc3'
    for _ in range(20_000):
        message = bytearray(generator.choice(good))
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(len(message))
            cut = generator.choice((0, 0, 1, 1, 5))
            message[at : at + cut] = bytes(generator.choices(alphabet, k=generator.randint(0, 3)))
        is_command_or_refusal(bytes(message))


def is_command_or_refusal(message: bytes) -> None:
    try:
        command = parse_command(message, NOW)
    except InvalidCommand as error:
        json.dumps(error.event_data()).encode()
    else:
        assert 1 <= len(command.command_id) <= 128


NEEDED_DATA: dict[str, dict[str, object]] = {
    "MIGRATE_USER": {"to": "packed-1"},
    "DRAIN_HOST": {"host": "packed-1"},
    "START_CANARY": {"strategy": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"},
    "PROMOTE_CANARY": {"strategy": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"},
    "ABORT_CANARY": {"strategy": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"},
    "HALT": {"scope": "user"},
    "RESUME": {"scope": "user"},
    "PUBLISH_SIGNAL": {"strategyId": "a", "symbol": "NSE:BANKNIFTY", "signal": "buy"},
    "UNSUBSCRIBE": {"subscription": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"},
    "PAUSE_SUBSCRIPTION": {"subscription": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"},
    "RESUME_SUBSCRIPTION": {"subscription": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"},
}
"""The least that the commands must say which have no default for everything."""


@pytest.mark.parametrize("action", list(Action))
def test_each_schema_is_valid_and_agrees_with_the_parser(action: Action) -> None:
    schema = command_schema(action)
    jsonschema.Draft202012Validator.check_schema(schema)
    accepts = jsonschema.Draft202012Validator(schema).is_valid

    least = NEEDED_DATA.get(action, {})
    assert accepts({"action": action, "user_id": "123", "command_id": "x", "data": least})
    assert accepts({"action": action, "user_id": 123}) == (action not in NEEDED_DATA)
    assert not accepts({"action": action, "user_id": "_x", "data": least})
    assert not accepts({"action": action, "user_id": "1", "surprise": 1, "data": least})
    assert not accepts({"action": "NO_SUCH", "user_id": "1"})
    parse_command(json.dumps({"action": action, "user_id": "1", "data": least}).encode(), NOW)
    assert not accepts({"action": action, "user_id": "1", "data": {"surprise": 1}})
