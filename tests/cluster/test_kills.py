"""A trading day during which every kind of process is killed with -9, audited against the same day undisturbed.

The undisturbed day runs in one process and virtual time: same seed, same market, same signals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import jsonschema
import msgspec
import pytest

from actors.cluster import MARKET_DATA, OPTION_CHAIN, SUPERVISOR
from actors.market_progress import MarketStatistics
from runtime.events import EventType, PublicEvent
from runtime.schemas import event_schema
from tests.cluster.conftest import CLUSTER, Platform
from tests.faults.books import Books, Findings, audit, read_books
from tests.faults.commander import Commander
from tests.faults.killer import MONGOD, VALKEY, Kill, Killer
from tests.faults.traders import Trader, traders, undisturbed

pytestmark = CLUSTER

CANDLES = 375
USERS = 6
DAY_SECONDS_MAX = 180.0
TARGETS = ("packed-0", MARKET_DATA, SUPERVISOR, VALKEY, MONGOD, "user-trader-01", OPTION_CHAIN, MARKET_DATA, "packed-1")


class Played(NamedTuple):
    users: Sequence[Trader]
    kills: Sequence[Kill]
    books: Books
    findings: Findings
    commands: Commander
    market: MarketStatistics
    control: Sequence[PublicEvent]


@pytest.fixture(scope="session")
def day(platform: Platform) -> Played:
    """One accelerated day; in the middle of it the targets die one after the other, commands arriving all the while."""
    system, outside = platform
    users = traders(USERS)
    control = undisturbed(system.spec, users)
    for command_id in [outside.send("START_TRADING", user.user_id, user.data) for user in users]:
        outside.answer(command_id)
    killer, commander = Killer(system, outside), Commander(outside, seed=1)
    outside.begin()
    for number, target in enumerate(TARGETS, start=1):
        candle = number * CANDLES // (len(TARGETS) + 1)
        outside.wait(lambda candle=candle: outside.market().candles >= candle, DAY_SECONDS_MAX, f"candle {candle}")
        commander.send()
        killer.kill(target)
    commander.stop()
    outside.wait(lambda: commander.answered, 30, "answers to all commands")
    outside.wait(lambda: outside.market().finished, DAY_SECONDS_MAX, "the end of the day")
    for user in users:
        outside.ask("GET_STATUS", user.user_id)
    books = read_books(outside.events, system.running.mongodb_url, system.spec.database)
    return Played(users, killer.kills, books, audit(books, users, control), commander, outside.market(), control)


def test_the_day_goes_on_whatever_is_killed(day: Played) -> None:
    assert [kill.target for kill in day.kills] == list(TARGETS)
    assert day.market.finished
    assert day.market.signals == len({event.data["signal_id"] for event in day.control if event.type is EventType.SIGNAL})


def test_every_session_of_a_killed_host_says_that_it_recovered(day: Played) -> None:
    expected = Counter(user for kill in day.kills for user in kill.recovered if user.startswith("trader-"))
    assert set(expected) == {"trader-00", "trader-01", "trader-02", "trader-04"}
    recovered = {
        user: [event for event in events if event.type is EventType.SESSION_RECOVERED] for user, events in day.books.events.items()
    }
    for user, times in expected.items():
        assert len(recovered[user]) >= times
        epochs = [event.data["epoch"] for event in recovered[user]]
        assert epochs == sorted(set(epochs))
    for untouched in ("trader-03", "trader-05"):  # dedicated hosts that nobody killed
        assert recovered[untouched] == []


def test_no_order_is_doubled(day: Played) -> None:
    assert day.findings.duplicate_orders == []


def test_no_order_is_lost_and_none_is_sent_that_an_undisturbed_day_does_not_have(day: Played) -> None:
    assert day.findings.missing_orders == []
    assert day.findings.unexpected_orders == []


def test_no_seq_is_missing_in_the_stream_nor_in_the_journal(day: Played) -> None:
    assert day.findings.seq_gaps == []


def test_the_stream_says_exactly_what_the_journal_holds(day: Played) -> None:
    assert day.findings.unpublished == []


def test_every_position_still_had_its_exit(day: Played) -> None:
    assert day.findings.positions_without_exit == []
    opened = sum(event.type is EventType.POSITION_OPENED for events in day.books.events.values() for event in events)
    assert opened > len(day.users)


def test_every_command_under_kills_took_effect_once_and_in_order(day: Played) -> None:
    assert len(day.commands.sent) > len(TARGETS)
    assert day.commands.violations() == []


def test_strategies_decided_again_only_what_a_killed_market_data_had_begun(day: Played) -> None:
    """A successor starts at the last whole minute; of a candle decided twice the signal is the same and is dropped by its id."""
    market_data_kills = sum(kill.target == MARKET_DATA for kill in day.kills)
    assert CANDLES <= day.market.candles <= CANDLES + market_data_kills
    timeframes = CANDLES + CANDLES // 5  # one strategy on one-minute candles, one on five-minute candles
    assert timeframes <= day.market.strategy_evaluations <= timeframes + 2 * market_data_kills


def test_every_event_of_the_day_satisfies_its_published_schema(day: Played) -> None:
    validators = {event_type: jsonschema.Draft202012Validator(event_schema(event_type)) for event_type in EventType}
    for events in day.books.events.values():
        for event in events:
            assert list(validators[event.type].iter_errors(msgspec.to_builtins(event))) == []
