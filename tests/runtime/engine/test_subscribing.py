from decimal import Decimal

import msgspec

from runtime.engine import TradingEngine
from runtime.events import PauseSubscription, ResumeSubscription, SignalArrived, StopSession, Subscribe, Unsubscribe
from runtime.market import Timeframe
from runtime.orders import OrderCancelled
from runtime.session import Mode, OnBreach, Protection, Subscription
from runtime.signals import Side, Signal
from tests.builders import ONE_LOT, SUBSCRIPTION, arrive, at, config, data_of, engine, fill, in_trade, orders, points, said, signal, touch

SLOW = Subscription(timeframe=Timeframe.M5, sizing=ONE_LOT)


def slow_signal(side: Side = Side.LONG, clock: str = "10:00") -> Signal:
    return signal(side, clock, strategy_key=SLOW.key, timeframe=Timeframe.M5)


def subscribe(trader: TradingEngine, subscription: Subscription = SLOW, command_id: str = "s1") -> list:
    return trader.process(Subscribe(ts=at("09:30"), command_id=command_id, subscription=subscription))


def test_a_strategy_subscribed_at_run_time_is_followed_besides_the_others() -> None:
    trader = engine()
    answer = data_of(subscribe(trader), "COMMAND_ACCEPTED")
    [settings] = answer.pop("subscribed")
    assert (settings["key"], settings["new"], settings["timeframe"]) == (SLOW.key, True, "5m")
    assert answer == {
        "command_id": "s1",
        "action": "SUBSCRIBE",
        "status": "RUNNING",
        "subscription": SLOW.key,
        "updated": False,
    }
    assert len(orders(arrive(trader, slow_signal()))) == 1
    assert len(orders(arrive(trader, signal()))) == 1


def test_subscribing_twice_changes_the_settings_and_keeps_the_book() -> None:
    trader = engine()
    subscribe(trader)
    (entry,) = orders(arrive(trader, slow_signal()))
    fill(trader, entry, "100")
    tighter = msgspec.structs.replace(SLOW, mode=Mode.LIVE)
    assert data_of(subscribe(trader, tighter, "s2"), "COMMAND_ACCEPTED")["updated"] is True
    assert trader.state.config.subscriptions == (*config().subscriptions, tighter)
    position = trader.state.slots[SLOW.key].position
    assert position is not None
    assert position.quantity == Decimal(30)


def test_the_same_subscribe_command_delivered_twice_changes_nothing() -> None:
    trader = engine()
    subscribe(trader)
    assert subscribe(trader) == []


def test_a_subscription_has_its_own_mode_and_its_exit_goes_where_its_entry_went() -> None:
    trader = engine()
    subscribe(trader, msgspec.structs.replace(SLOW, mode=Mode.LIVE))
    (live,) = orders(arrive(trader, slow_signal()))
    (paper,) = orders(arrive(trader, signal()))
    assert (live.mode, paper.mode) == (Mode.LIVE, Mode.PAPER)
    fill(trader, live, "100")
    subscribe(trader, SLOW, "back to the session's own mode")
    (close,) = orders(arrive(trader, slow_signal(Side.FLAT, "10:10")))
    assert close.mode is Mode.LIVE


def test_a_paused_subscription_takes_no_entry_and_exits_go_on() -> None:
    trader = in_trade()
    effects = trader.process(PauseSubscription(ts=at("10:01"), command_id="p", key=SUBSCRIPTION.key))
    assert data_of(effects, "COMMAND_ACCEPTED")["action"] == "PAUSE_SUBSCRIPTION"
    (close,) = orders(touch(trader, 79.0))
    fill(trader, close, "79", "10:05")
    assert data_of(arrive(trader, signal(clock="10:06")), "SIGNAL_SKIPPED")["reason"] == "paused"
    trader.process(ResumeSubscription(ts=at("10:07"), command_id="r", key=SUBSCRIPTION.key))
    assert len(orders(arrive(trader, signal(clock="10:08")))) == 1


def test_pausing_a_subscription_calls_off_its_own_entry_only() -> None:
    trader = engine()
    subscribe(trader)
    (slow,) = orders(arrive(trader, slow_signal()))
    arrive(trader, signal())
    trader.process(PauseSubscription(ts=at("10:01"), command_id="p", key=SLOW.key))
    assert [order.order.order_id for order in trader.state.orders.values() if order.cancel_requested] == [slow.order_id]


def test_unsubscribing_keeps_the_position_under_the_exits_it_was_opened_with() -> None:
    trader = in_trade(config(protection=Protection(stop=points("5"))))
    effects = trader.process(Unsubscribe(ts=at("10:01"), command_id="u", key=SUBSCRIPTION.key))
    assert (said(effects), orders(effects)) == (["COMMAND_ACCEPTED"], [])
    assert arrive(trader, signal(Side.SHORT, "10:02")) == []
    (close,) = orders(touch(trader, 95.0))
    assert data_of(fill(trader, close, "95", "10:05"), "POSITION_CLOSED")["exit_reason"] == "SL"


def test_unsubscribing_with_close_flattens() -> None:
    trader = in_trade()
    effects = trader.process(Unsubscribe(ts=at("10:01"), command_id="u", key=SUBSCRIPTION.key, positions=OnBreach.CLOSE))
    (close,) = orders(effects)
    assert data_of(fill(trader, close, "101", "10:01"), "POSITION_CLOSED")["exit_reason"] == "MANUAL"
    assert trader.state.config.subscriptions == ()


def test_an_entry_in_flight_of_a_subscription_that_ends_is_cancelled() -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal()))
    trader.process(Unsubscribe(ts=at("10:00:01"), command_id="u", key=SUBSCRIPTION.key))
    assert trader.state.orders[entry.order_id].cancel_requested
    trader.process(OrderCancelled(ts=at("10:00:02"), order_id=entry.order_id))
    assert trader.state.orders == {}


def test_what_is_not_followed_cannot_be_paused_resumed_or_left() -> None:
    trader = engine()
    for event in (
        Unsubscribe(ts=at("10:01"), command_id="1", key=SLOW.key),
        PauseSubscription(ts=at("10:01"), command_id="2", key=SLOW.key),
        ResumeSubscription(ts=at("10:01"), command_id="3", key=SLOW.key),
    ):
        assert data_of(trader.process(event), "COMMAND_REJECTED")["reason"] == "not_subscribed"


def test_a_stopped_session_cannot_subscribe() -> None:
    trader = engine()
    trader.process(StopSession(ts=at("09:20"), command_id="stop"))
    assert data_of(subscribe(trader), "COMMAND_REJECTED")["reason"] == "not_running"
    assert trader.process(SignalArrived(ts=at("10:00"), signal=slow_signal())) == []
