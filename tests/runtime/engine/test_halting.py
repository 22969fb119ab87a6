"""The operator's kill switch as one trader obeys it, at each of its levels."""

from __future__ import annotations

import msgspec
import pytest

from runtime.engine import TradingEngine
from runtime.events import Effect, HaltTrading, ResumeTrading
from runtime.halts import HaltScope, HaltTarget
from runtime.session import OnBreach
from runtime.signals import Side
from tests.builders import SUBSCRIPTION, arrive, at, config, data_of, engine, fill, orders, said, signal

PLATFORM = HaltTarget()
STRATEGY = HaltTarget(scope=HaltScope.STRATEGY, strategy=SUBSCRIPTION.strategy)
KEY = HaltTarget(scope=HaltScope.STRATEGY, strategy=SUBSCRIPTION.key)
USER = HaltTarget(scope=HaltScope.USER, user_id="u1")
OWN_SUBSCRIPTION = HaltTarget(scope=HaltScope.SUBSCRIPTION, user_id="u1", strategy=SUBSCRIPTION.key)
COVERING = (PLATFORM, STRATEGY, KEY, USER, OWN_SUBSCRIPTION)
OTHERS = (
    HaltTarget(scope=HaltScope.STRATEGY, strategy="ema_cross"),
    HaltTarget(scope=HaltScope.STRATEGY, strategy=SUBSCRIPTION.strategy[:-1]),
    HaltTarget(scope=HaltScope.SUBSCRIPTION, user_id="u1", strategy="ema_cross"),
)


def halt(trader: TradingEngine, target: HaltTarget, *, positions: OnBreach = OnBreach.KEEP) -> list[Effect]:
    event = HaltTrading(ts=at("10:00"), command_id="h", reason="drill", positions=positions, target=target)
    return trader.process(event)


def resume(trader: TradingEngine, target: HaltTarget) -> list[Effect]:
    return trader.process(ResumeTrading(ts=at("10:00"), command_id="r", target=target))


@pytest.mark.parametrize("target", COVERING)
def test_what_a_halt_covers_takes_no_entry_until_the_same_scope_is_resumed(target: HaltTarget) -> None:
    trader = engine()
    told = halt(trader, target)
    assert (said(told), data_of(told, "RISK_HALT")["scope"]) == (["RISK_HALT"], target.scope)
    skipped = arrive(trader, signal(clock="10:01"))
    assert (orders(skipped), data_of(skipped, "SIGNAL_SKIPPED")["reason"]) == ([], "halted")
    assert said(resume(trader, target)) == ["RISK_RESUMED"]
    assert len(orders(arrive(trader, signal(clock="10:02")))) == 1


@pytest.mark.parametrize("target", OTHERS)
def test_what_a_halt_does_not_cover_goes_on(target: HaltTarget) -> None:
    trader = engine()
    assert said(halt(trader, target)) == []
    assert len(orders(arrive(trader, signal()))) == 1


@pytest.mark.parametrize("lifted", COVERING)
def test_lifting_one_scope_leaves_the_others_in_force(lifted: HaltTarget) -> None:
    trader = engine()
    for target in COVERING:
        halt(trader, target)
    resume(trader, lifted)
    assert [each.target for each in trader.state.halts] == [target for target in COVERING if target != lifted]
    assert orders(arrive(trader, signal())) == []


def test_a_working_entry_is_called_off_and_a_position_keeps_its_exits() -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal()))
    effects = halt(trader, STRATEGY)
    assert [effect.order_id for effect in effects if hasattr(effect, "order_id")] == [entry.order_id]
    fill(trader, entry, "100")  # it was too late
    (exit_order,) = orders(arrive(trader, signal(Side.FLAT, clock="10:05")))
    assert exit_order.reduce_only


@pytest.mark.parametrize("target", COVERING)
def test_a_halt_that_closes_leaves_nothing_open_of_what_it_covers(target: HaltTarget) -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal()))
    fill(trader, entry, "100")
    (exit_order,) = orders(halt(trader, target, positions=OnBreach.CLOSE))
    assert (exit_order.leg, exit_order.reduce_only) == ("EXIT", True)


def test_the_same_halt_twice_is_one_and_another_users_concerns_nobody_here() -> None:
    trader = engine()
    assert said(halt(trader, PLATFORM)) == ["RISK_HALT"]
    assert said(halt(trader, PLATFORM)) == []
    assert not HaltTarget(scope=HaltScope.USER, user_id="u2").concerns("u1")


def test_a_subscription_that_comes_later_is_covered_too() -> None:
    trader = engine(msgspec.structs.replace(config(), subscriptions=()))
    assert said(halt(trader, STRATEGY)) == []
    trader.state.config = config()
    assert data_of(arrive(trader, signal()), "SIGNAL_SKIPPED")["reason"] == "halted"
