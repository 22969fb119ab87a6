"""The state of one user's engine: a plain value that a snapshot stores and a replay rebuilds, byte for byte."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from runtime.events import ExitReason
from runtime.halts import Halt
from runtime.market import Instrument, InstrumentId
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


class OrderState(msgspec.Struct, kw_only=True, gc=False):
    """An order that is not final yet, and what has been done of it.

    `cancel_requested`: it is to be cancelled; `cancel_sent`: the order rate has let that leave.
    """

    order: Order
    status: OrderStatus = OrderStatus.SUBMITTED
    filled: Decimal = ZERO
    fees: Decimal = ZERO
    fill_ids: list[str] = []
    broker_order_id: str | None = None
    cancel_requested: bool = False
    cancel_sent: bool = False

    @property
    def remaining(self) -> Decimal:
        return self.order.quantity - self.filled


class Position(msgspec.Struct, kw_only=True, gc=False):
    """`side` is exposure to the underlying, `entry_side` what was done in `instrument`. Levels are prices of the instrument.

    `cost` is what the open quantity was entered for, exactly; `entry_price` the average for people and levels.
    """

    position_id: str
    signal_id: str
    instrument: Instrument
    side: Side
    entry_side: OrderSide
    mode: Mode = Mode.PAPER
    quantity: Decimal
    cost: Decimal
    entry_price: Decimal
    opened_at: datetime
    stop: Decimal | None = None
    target: Decimal | None = None
    trail_distance: Decimal | None = None
    best_price: Decimal
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    exits_sent: int = 0
    exits_failed: int = 0
    legs_sent: int = 0
    legs_refused: list[Leg] = []
    """Stop or target that the venue does not take or has dropped: this position has only the runtime's own watch of it."""

    @property
    def direction(self) -> int:
        """+1 when a rising price of the instrument earns, -1 when it loses."""
        return 1 if self.entry_side is OrderSide.BUY else -1

    def open_pnl(self, price: Decimal) -> Decimal:
        return (price * self.quantity - self.cost) * self.direction


class Entry(msgspec.Struct, kw_only=True, gc=False):
    """An entry under way: its signal, what it was sized with, and what of it has not been sent yet.

    Its orders are `slices` of at most the instrument's freeze quantity each.
    """

    signal: Signal
    mode: Mode
    price: Decimal
    stop: Decimal | None
    unsent: Decimal
    slices: int = 0


class Slot(msgspec.Struct, kw_only=True):
    """One subscription's book: its position, its orders, and the newest target not yet reached.

    `exit_reason` is set from the moment the position (or an entry that may still fill) has to go until it has gone:
    `retry_at` is the earliest time for the next try after one that failed. `wake_at` is when the order rate lets out what
    it has held back, `deadline` when the clock closes the position. `waits`: `pending` came while something was in flight
    and nothing is decided on it yet. `exit_signal` is the signal that asked for the exit, where one did. Money in account
    currency, realised before fees.
    """

    key: str
    position: Position | None = None
    pending: Signal | None = None
    waits: bool = False
    entry: Entry | None = None
    order_ids: list[str] = []
    exit_reason: ExitReason | None = None
    exit_signal: str | None = None
    retry_at: datetime | None = None
    wake_at: datetime | None = None
    deadline: datetime | None = None
    last_signal_id: str = ""
    last_signal_ts: datetime | None = None
    last_entry_at: datetime | None = None
    last_entry: tuple[InstrumentId, OrderSide] | None = None
    trades_today: int = 0
    realised_today: Decimal = ZERO
    fees_today: Decimal = ZERO
    realised_total: Decimal = ZERO
    fees_total: Decimal = ZERO
    protection: Protection | None = None
    """What protects its position after its subscription is gone."""

    @property
    def phase(self) -> SlotPhase:
        if self.exit_reason is not None:
            return SlotPhase.EXITING
        if self.entry is not None:
            return SlotPhase.ENTERING
        return SlotPhase.NEUTRAL if self.position is None else SlotPhase.IN_TRADE

    @property
    def side(self) -> Side:
        return Side.FLAT if self.position is None else self.position.side

    @property
    def is_busy(self) -> bool:
        """Whether a new target has to wait. Stop and target that rest at the venue are no work; after the close they are."""
        return self.exit_reason is not None or self.entry is not None or (self.position is None and bool(self.order_ids))

    @property
    def is_blank(self) -> bool:
        return self.position is None and self.entry is None and not self.order_ids


class EngineState(msgspec.Struct, kw_only=True):
    """Money in account currency. `realised_today` is gross, `fees_today` what the trades cost; both sum the slots' books."""

    user_id: str
    epoch: int = 0
    seq: int = 0
    status: SessionStatus = SessionStatus.STOPPED
    halted: str | None = None
    """Why this user's own risk limits stopped it; lifted by RESUME or by the next session day."""
    halts: list[Halt] = []
    """The operator's, in the order they came; each is lifted by its own RESUME."""
    config: SessionConfig = SessionConfig()
    slots: dict[str, Slot] = {}
    orders: dict[str, OrderState] = {}
    unfilled: list[OrderState] = []
    """The last orders that ended with something unfilled: the report of a fill may come after that of the end."""
    window: OrderWindow = msgspec.field(default_factory=OrderWindow)
    day: date | None = None
    realised_today: Decimal = ZERO
    fees_today: Decimal = ZERO
    realised_total: Decimal = ZERO
    fees_total: Decimal = ZERO
    trades_today: int = 0
    feed_up: bool = True
    silent: tuple[InstrumentId, ...] = ()
    """Of the instruments that strategies run on, those without market data."""
    broker_up: bool = True
    store_up: bool = True
    external: dict[InstrumentId, Decimal] = {}
    """Units in the account that no book of ours has and that the user leaves to himself: bought above zero, sold below."""
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


def net_positions(state: EngineState) -> dict[InstrumentId, Decimal]:
    """What the account holds of each instrument over all books, in units: above zero bought, below sold, 0 where books cancel out.

    This is what the broker shows, which knows no books.
    """
    net: dict[InstrumentId, Decimal] = {}
    for position in state.open_positions:
        name = position.instrument.id
        net[name] = net.get(name, ZERO) + position.quantity * position.direction
    return net


def encode_state(state: EngineState) -> bytes:
    """Equal histories give equal bytes. Dictionaries keep their order, in which slots and orders are served, across a snapshot."""
    return _ENCODER.encode(state)


def decode_state(data: bytes) -> EngineState:
    return _DECODER.decode(data)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(EngineState)
