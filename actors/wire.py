"""What actors say to each other over the bus, besides the market's own types."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from runtime.events import EngineInput
from runtime.halts import HaltTarget
from runtime.market import InstrumentId, Prices
from runtime.rollouts import Rollout
from runtime.signal_engine import StrategySpec
from runtime.signals import Side, Signal


class SignalMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A signal on its way to every host. `closed_at_ns`: wall clock when its candle's close was noticed, for measurement only."""

    signal: Signal
    closed_at_ns: int


class InboundSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal of another program, accepted and kept in `signals` under its id. `symbol` may be an index: see `InboundSignals`."""

    signal_id: str
    strategy_key: str
    source: str
    symbol: InstrumentId
    side: Side
    price: float | None = None
    stop: float | None = None
    target: float | None = None
    timestamp: datetime | None = None


class ForUser(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One input for one user's trader. Its `ts` is replaced by the host's venue time."""

    user_id: str
    input: EngineInput


class ForAll(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One input for every trader of the host: the kill switch and its release."""

    input: EngineInput


class Release(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The user lives on another host now, which has written to his journal: watch him no longer."""

    user_id: str


class SetRollouts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All roll-outs in force; those not named have ended."""

    rollouts: tuple[Rollout, ...]


HostMessage: TypeAlias = ForUser | ForAll | Release | SetRollouts


class Cry(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A halt, ahead of its record and of its message to each host: from now on no entry of this target leaves."""

    command_id: str
    target: HaltTarget


class Hush(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Cries that count no more: that of this command, a repeat of an old one, or all of a target that is being resumed."""

    command_id: str | None = None
    target: HaltTarget | None = None


HaltCall: TypeAlias = Cry | Hush


class HaltAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A halt as it was taken, kept until it is on record: the cry for hosts that start, the command for a supervisor that does."""

    cry: Cry
    payload: bytes
    arrived_at: datetime
    entry_id: str | None


class RollCallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All traders of a host concerned by a halt, or by its end, have taken it in: how many they were."""

    command_id: str
    host_id: str
    traders: int


class SetStrategies(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All strategies that at least one active session wants; those not named are dropped."""

    specs: tuple[StrategySpec, ...]


class BeginSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Let the (replayed) market start to move."""


MarketRequest: TypeAlias = SetStrategies | BeginSession


class LatencySamples(msgspec.Struct, frozen=True, kw_only=True):
    """Wall-clock milliseconds of one path, per order: `signal_to_order`, `signal_to_fill` or `tick_to_exit_order`."""

    kind: str
    milliseconds: list[float]


encode = msgspec.json.Encoder().encode
decode_signal = msgspec.json.Decoder(SignalMessage).decode
decode_inbound_signal = msgspec.json.Decoder(InboundSignal).decode
decode_roll_call_answer = msgspec.json.Decoder(RollCallAnswer).decode
decode_halt_ahead = msgspec.json.Decoder(HaltAhead).decode
decode_halt_call = msgspec.json.Decoder(HaltCall).decode
decode_host_message = msgspec.json.Decoder(HostMessage).decode
decode_market_request = msgspec.json.Decoder(MarketRequest).decode
decode_prices = msgspec.json.Decoder(Prices).decode
decode_input = msgspec.json.Decoder(EngineInput).decode
decode_instruments = msgspec.json.Decoder(list[InstrumentId]).decode
decode_latency = msgspec.json.Decoder(LatencySamples).decode

__all__ = [
    "BeginSession",
    "Cry",
    "ForAll",
    "ForUser",
    "HaltAhead",
    "HaltCall",
    "HostMessage",
    "Hush",
    "InboundSignal",
    "LatencySamples",
    "MarketRequest",
    "Release",
    "RollCallAnswer",
    "SetRollouts",
    "SetStrategies",
    "SignalMessage",
    "decode_halt_ahead",
    "decode_halt_call",
    "decode_host_message",
    "decode_inbound_signal",
    "decode_input",
    "decode_instruments",
    "decode_latency",
    "decode_market_request",
    "decode_prices",
    "decode_roll_call_answer",
    "decode_signal",
    "encode",
]
