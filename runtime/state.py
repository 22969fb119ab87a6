"""The state of one user's engine: a plain value that a snapshot stores and a replay rebuilds, byte for byte."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from runtime.events import ExitReason
from runtime.market import Instrument
from runtime.orders import Leg, Order, OrderStatus
from runtime.risk import OrderWindow
from runtime.session import Mode, Protection, SessionConfig
from runtime.signals import OrderSide, Side, Signal

ZERO = Decimal(0)


class SessionStatus(StrEnum):
    STOPPED = "STOPPED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"


class SlotPhase(StrEnum):
    NEUTRAL = "NEUTRAL"
    ENTERING = "ENTERING"
    IN_TRADE = "IN_TRADE"
    EXITING = "EXITING"


class OrderState(msgspec.Struct, kw_only=True):
    """An order that is not final yet, and what has been done of it. `cost` is the sum of price × quantity filled."""

    order: Order
    status: OrderStatus = OrderStatus.SUBMITTED
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO
    fill_ids: list[str] = []
    broker_order_id: str | None = None
    cancel_requested: bool = False


class Position(msgspec.Struct, kw_only=True):
    """`side` is exposure to the underlying, `entry_side` what was done in `instrument`. Levels are prices of the instrument."""

    position_id: str
    signal_id: str
    instrument: Instrument
    side: Side
    entry_side: OrderSide
    mode: Mode = Mode.PAPER
    quantity: Decimal
    entry_price: Decimal
    opened_at: datetime
    stop: Decimal | None = None
    target: Decimal | None = None
    trail_distance: Decimal | None = None
    best_price: Decimal
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def direction(self) -> int:
        """+1 when a rising price of the instrument earns, -1 when it loses."""
        return 1 if self.entry_side is OrderSide.BUY else -1

    def open_pnl(self, price: Decimal) -> Decimal:
        return (price - self.entry_price) * self.quantity * self.direction


class Slot(msgspec.Struct, kw_only=True):
    """One subscription's book: its position, the order in flight, and the newest target not yet reached.

    `entry` is the signal whose entry order is in flight (its stop and target are needed at the fill). `exit_wanted` is set while a close is due but cannot leave yet (order rate) or has failed and is tried again at `retry_at`.
    """

    key: str
    position: Position | None = None
    pending: Signal | None = None
    entry: Signal | None = None
    order_id: str | None = None
    leg: Leg | None = None
    exit_reason: ExitReason | None = None
    exit_wanted: ExitReason | None = None
    retry_at: datetime | None = None
    exit_attempts: int = 0
    last_signal_id: str = ""
    last_signal_ts: datetime | None = None
    last_entry_at: datetime | None = None
    trades_today: int = 0
    protection: Protection | None = None
    """What protects its position after its subscription is gone."""

    @property
    def phase(self) -> SlotPhase:
        if self.order_id is not None:
            return SlotPhase.ENTERING if self.leg is Leg.ENTRY else SlotPhase.EXITING
        return SlotPhase.NEUTRAL if self.position is None else SlotPhase.IN_TRADE

    @property
    def side(self) -> Side:
        return Side.FLAT if self.position is None else self.position.side


class EngineState(msgspec.Struct, kw_only=True):
    """Money in account currency. `realised_today` is gross, `fees_today` what the trades cost."""

    user_id: str
    epoch: int = 0
    seq: int = 0
    status: SessionStatus = SessionStatus.STOPPED
    halted: str | None = None
    """Why this user's own risk limits stopped it; lifted by RESUME or by the next session day."""
    platform_halt: str | None = None
    config: SessionConfig = SessionConfig()
    slots: dict[str, Slot] = {}
    orders: dict[str, OrderState] = {}
    window: OrderWindow = msgspec.field(default_factory=OrderWindow)
    day: date | None = None
    realised_today: Decimal = ZERO
    fees_today: Decimal = ZERO
    trades_today: int = 0
    feed_up: bool = True
    broker_up: bool = True
    wake_at: datetime | None = None
    recent_commands: list[str] = []
    """Ids of the last commands taken in, so that a redelivery by a restarted supervisor changes nothing."""

    @property
    def net_today(self) -> Decimal:
        return self.realised_today - self.fees_today

    @property
    def open_positions(self) -> list[Position]:
        return [slot.position for slot in self.slots.values() if slot.position is not None]

    @property
    def is_idle(self) -> bool:
        """Nothing to watch and nothing in flight: the trader may be unloaded."""
        return self.status is SessionStatus.STOPPED and not self.orders and not self.open_positions


def encode_state(state: EngineState) -> bytes:
    """Canonical bytes: equal states give equal bytes."""
    return _ENCODER.encode(state)


def decode_state(data: bytes) -> EngineState:
    return _DECODER.decode(data)


_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(EngineState)
