"""At-the-money options on an index, traded from its one-minute candles."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import ClassVar, Literal

from runtime import patterns
from runtime.chains import near_the_money, pcr, pcr_change
from runtime.errors import InvalidConfig
from runtime.exits import decimal_price
from runtime.indicators import Atr, Ema, OpeningRange, RollingMean, Vwap
from runtime.market import IST, Candle, Instrument, OptionChain, OptionQuote, Quote, Right
from runtime.signals import Side, Target
from runtime.strategy import MarketContext
from strategies.breakouts import InsideBarBreakout, RangeBreakout
from strategies.parameters import ClockTime, Fraction, Minutes, Multiple, Percent, Period, Switch, clock_time

RULES = ("orb", "inside_bar", "reversal", "momentum")
"""In order of priority: the first that fires wins."""


class _Session:
    """What starts afresh each exchange date."""

    __slots__ = ("day", "inside", "opening_range", "orb", "previous")

    def __init__(self, day: date, start: time, end: time, *, on_touch: bool) -> None:
        self.day = day
        self.opening_range = OpeningRange(datetime.combine(day, start, IST), datetime.combine(day, end, IST))
        self.orb = RangeBreakout(on_touch=on_touch)
        self.inside = InsideBarBreakout(on_touch=on_touch)
        self.previous: Candle | None = None


class IndexOptionsScalper:
    """Buys the at-the-money call or put of an index when the first of four rules fires on a closed candle.

    Nothing fires within `trade_lock_minutes` of the last signal, outside the exchange session (such candles are ignored),
    or before the slow EMA and the ATR are warm. Then, in order of priority:

    - orb: after the opening range, price beyond its high or low, with a volume breakout. A side fires once and again only
      after price was back inside; until it has fired (the lock, the volume or the PCR may hold it back) it keeps trying.
    - inside_bar: the mother bar of one or more inside bars of this session is broken.
    - reversal: engulfing, hammer or shooting star, only near VWAP or an EMA.
    - momentum: a strong candle in the direction of fast against slow EMA and on the right side of VWAP.

    VWAP, opening range and patterns start afresh each session; EMAs, ATR and mean volume run on. Volume comes from the
    context (the near-month future's, as an index has none); without any, VWAP is the time-weighted mean of the typical
    price and the volume filter is off, which `describe` says under `notes`.

    ema_fast, ema_slow: candles of the two EMAs; fast below slow.
    atr_period: candles of the average true range.
    orb_start, orb_end: opening range in exchange time; candles that open from start (included) to end (excluded) count.
    rules: the rules to use, comma-separated or as a list; their priority is fixed.
    breakout_on: `close` needs a close strictly beyond the level (orb, inside_bar), `touch` any price of the candle.
    volume_filter: `off` lets orb fire without a volume breakout.
    volume_multiple: a volume breakout is a volume above this multiple of its mean.
    volume_period: candles of the mean volume, the current one included.
    trade_lock_minutes: no signal for this long after one; 0 is no lock.
    proximity_percent: reversal: largest distance of the close from VWAP or an EMA, in percent of that level.
    hammer_shadow: the long shadow of hammer and shooting star is at least this multiple of the body.
    hammer_other_shadow: the short one is at most this fraction of the range.
    hammer_body_zone: the body lies within this outer fraction of the range.
    strong_body: momentum: the body is more than this fraction of the range.
    strong_close: momentum: the close is within this outer fraction of the range.
    pcr_min: no BUY_CALL while the put-call ratio is below it; None is no limit. Without a chain a limit blocks its side.
    pcr_max: no BUY_PUT while the put-call ratio is above it; None is no limit.
    stop_loss_percent: distance of the stop as a FRACTION of the premium (0.2 is 20 %).
    reward_risk: distance of the target as a multiple of the stop's.
    """

    name: ClassVar[str] = "index_options_scalper"
    trades_options: ClassVar[bool] = True

    def __init__(
        self,
        *,
        ema_fast: Period = 9,
        ema_slow: Period = 21,
        atr_period: Period = 14,
        orb_start: ClockTime = "09:15",
        orb_end: ClockTime = "09:30",
        rules: str | list[str] = "orb,inside_bar,reversal,momentum",
        breakout_on: Literal["close", "touch"] = "close",
        volume_filter: Switch = "on",
        volume_multiple: Multiple = 1.5,
        volume_period: Period = 20,
        trade_lock_minutes: Minutes = 5,
        proximity_percent: Percent = 0.1,
        hammer_shadow: Multiple = 2.0,
        hammer_other_shadow: Fraction = 0.1,
        hammer_body_zone: Fraction = 1 / 3,
        strong_body: Fraction = 0.6,
        strong_close: Fraction = 0.25,
        pcr_min: Multiple | None = None,
        pcr_max: Multiple | None = None,
        stop_loss_percent: Fraction = 0.2,
        reward_risk: Multiple = 1.5,
    ) -> None:
        if ema_fast >= ema_slow:
            raise InvalidConfig(f"{self.name}.ema_fast", ema_fast, f"must be below ema_slow ({ema_slow})")
        self._orb_start, self._orb_end = clock_time(f"{self.name}.orb_start", orb_start), clock_time(f"{self.name}.orb_end", orb_end)
        if self._orb_start >= self._orb_end:
            raise InvalidConfig(f"{self.name}.orb_end", orb_end, f"must be after orb_start ({orb_start})")
        self._rules = _chosen_rules(rules)
        self._on_touch = breakout_on == "touch"
        self._volume_filter = volume_filter == "on"
        self._volume_multiple = volume_multiple
        self._trade_lock = timedelta(minutes=trade_lock_minutes)
        self._proximity = proximity_percent / 100.0
        self._hammer = {"shadow_to_body": hammer_shadow, "other_shadow": hammer_other_shadow, "body_zone": hammer_body_zone}
        self._strong_body, self._strong_close = strong_body, strong_close
        self._pcr_min, self._pcr_max = pcr_min, pcr_max
        self._stop_fraction, self._reward_risk = stop_loss_percent, reward_risk

        self._ema_fast, self._ema_slow, self._atr = Ema(ema_fast), Ema(ema_slow), Atr(atr_period)
        self._vwap, self._volume_mean = Vwap(), RollingMean(volume_period)
        self._volume: float | None = None
        self._session: _Session | None = None
        self._session_open: datetime | None = None
        self._locked_until: datetime | None = None
        self._chain: OptionChain | None = None
        self._pcr: float | None = None
        self._pcr_change: float | None = None

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:
        if not context.session_open <= candle.opened_at < context.session_close:
            return None
        session = self._session_of(context.session_open)
        self._update(candle, context)
        orb = self._orb_side(session, candle)
        previous, session.previous = session.previous, candle
        inside, mother = session.inside.update(previous, candle)
        if self._ema_slow.value is None or self._atr.value is None:
            return None
        if self._locked_until is not None and candle.opened_at < self._locked_until:
            return None
        for rule in self._rules:
            match rule:
                case "orb":
                    side, reason = self._orb_rule(session, candle, orb)
                case "inside_bar":
                    side, reason = _inside_bar_rule(candle, inside, mother)
                case "reversal":
                    side, reason = self._reversal_rule(previous, candle)
                case _:
                    side, reason = self._momentum_rule(candle)
            if side and self._pcr_allows(side):
                if rule == "orb":
                    session.orb.take(side)
                self._locked_until = candle.opened_at + self._trade_lock
                return self._target(side, rule, reason, candle, context)
        return None

    def describe(self) -> dict[str, float | str | None]:
        opening = self._session.opening_range if self._session and self._session.opening_range.complete else None
        return {
            "ema_fast": self._ema_fast.value,
            "ema_slow": self._ema_slow.value,
            "vwap": self._vwap.value,
            "atr": self._atr.value,
            "orb_high": opening.high if opening else None,
            "orb_low": opening.low if opening else None,
            "volume": self._volume,
            "volume_mean": self._volume_mean.value,
            "pcr": self._pcr,
            "pcr_change": self._pcr_change,
            "notes": self._notes(),
        }

    def _notes(self) -> str | None:
        notes: list[str] = []
        if not self._vwap.by_volume:
            notes.append("VWAP is the time-weighted mean of the typical price: no volume")
        if self._volume_filter and self._volume is None:
            notes.append("volume filter off: no volume")
        if self._pcr is None and (self._pcr_min is not None or self._pcr_max is not None):
            notes.append("the PCR filter blocks: no option chain")
        return "; ".join(notes) or None

    def _session_of(self, session_open: datetime) -> _Session:
        """The running session, or a fresh one on a new exchange date: a session in parts stays one session."""
        session = self._session
        if session is not None and session_open is self._session_open:
            return session
        self._session_open = session_open
        day = session_open.astimezone(IST).date()
        if session is None or session.day != day:
            self._session = session = _Session(day, self._orb_start, self._orb_end, on_touch=self._on_touch)
            self._vwap.reset()
        return session

    def _update(self, candle: Candle, context: MarketContext) -> None:
        high, low, close, volume = candle.high, candle.low, candle.close, context.volume
        self._ema_fast.update(close)
        self._ema_slow.update(close)
        self._atr.update(high, low, close)
        self._vwap.update(high, low, close, volume)
        self._volume = volume
        if volume is not None:
            self._volume_mean.update(volume)
        chain = context.chain
        if chain is not self._chain:
            self._chain = chain
            self._pcr = pcr(chain) if chain else None
            self._pcr_change = pcr_change(chain, context.previous_chain) if chain and context.previous_chain else None

    def _orb_side(self, session: _Session, candle: Candle) -> int:
        opening = session.opening_range
        if not opening.complete:
            opening.update(candle.opened_at, candle.high, candle.low)
        if not opening.complete or opening.high is None or opening.low is None:
            return 0
        return session.orb.update(candle, opening.high, opening.low)

    def _orb_rule(self, session: _Session, candle: Candle, side: int) -> tuple[int, str]:
        if not side or not self._volume_confirms():
            return 0, ""
        opening = session.opening_range
        level = f"above the opening range's high {opening.high}" if side > 0 else f"below the opening range's low {opening.low}"
        return side, f"price {candle.close} {level}"

    def _volume_confirms(self) -> bool:
        volume, mean = self._volume, self._volume_mean.value
        if not self._volume_filter or volume is None:
            return True
        return mean is not None and patterns.is_volume_breakout(volume, mean, multiple=self._volume_multiple)

    def _reversal_rule(self, previous: Candle | None, candle: Candle) -> tuple[int, str]:
        if previous is not None and patterns.is_bullish_engulfing(previous, candle):
            side, shape = 1, "bullish engulfing"
        elif previous is not None and patterns.is_bearish_engulfing(previous, candle):
            side, shape = -1, "bearish engulfing"
        elif patterns.is_hammer(candle, **self._hammer):
            side, shape = 1, "hammer"
        elif patterns.is_shooting_star(candle, **self._hammer):
            side, shape = -1, "shooting star"
        else:
            return 0, ""
        for name, level in (("VWAP", self._vwap.value), ("the fast EMA", self._ema_fast.value), ("the slow EMA", self._ema_slow.value)):
            if level is not None and abs(candle.close - level) <= self._proximity * level:
                return side, f"{shape} at {candle.close} near {name} {level:.2f}"
        return 0, ""  # no man's land

    def _momentum_rule(self, candle: Candle) -> tuple[int, str]:
        side = patterns.strong_candle(candle, body=self._strong_body, close_zone=self._strong_close)
        fast, slow, vwap = self._ema_fast.value, self._ema_slow.value, self._vwap.value
        if not side or fast is None or slow is None or vwap is None:
            return 0, ""
        if (fast - slow) * side <= 0.0 or (candle.close - vwap) * side <= 0.0:
            return 0, ""
        return side, f"strong candle to {candle.close}, fast EMA {fast:.2f} against slow {slow:.2f}, VWAP {vwap:.2f}"

    def _pcr_allows(self, side: int) -> bool:
        if side > 0:
            return self._pcr_min is None or (self._pcr is not None and self._pcr >= self._pcr_min)
        return self._pcr_max is None or (self._pcr is not None and self._pcr <= self._pcr_max)

    def _target(self, side: int, rule: str, reason: str, candle: Candle, context: MarketContext) -> Target:
        contract = near_the_money(context.chain, Right.CALL if side > 0 else Right.PUT) if context.chain else None
        quote = _newest(contract, context) if contract else None
        premium = quote.price if quote else None
        stop, target = self._levels(premium, contract.instrument) if premium and contract else (None, None)
        return Target(
            side=Side.LONG if side > 0 else Side.SHORT,
            rule=rule,
            reason=reason,
            direction="BUY_CALL" if side > 0 else "BUY_PUT",
            price=candle.close,
            instrument=contract.instrument if contract else None,
            contract_price=premium,
            contract_bid=quote.bid if quote else None,
            contract_ask=quote.ask if quote else None,
            stop=stop,
            target=target,
            context=self.describe(),
        )

    def _levels(self, premium: float, instrument: Instrument) -> tuple[float, float]:
        """Stop and target of a bought option, on its tick."""
        risk = premium * self._stop_fraction
        return float(decimal_price(premium - risk, instrument)), float(decimal_price(premium + self._reward_risk * risk, instrument))


def _newest(contract: OptionQuote, context: MarketContext) -> Quote | None:
    """The contract's live quote, else the chain's; None while it has no price."""
    live = context.quotes.get(contract.instrument.id)
    if live is not None:
        return live
    return Quote(contract.instrument.id, contract.price, contract.bid, contract.ask) if contract.price else None


def _inside_bar_rule(candle: Candle, side: int, mother: Candle | None) -> tuple[int, str]:
    if not side or mother is None:
        return 0, ""
    level = f"above the mother bar's high {mother.high}" if side > 0 else f"below the mother bar's low {mother.low}"
    return side, f"price {candle.close} {level}"


def _chosen_rules(rules: str | list[str]) -> tuple[str, ...]:
    names = [name.strip() for name in (rules.split(",") if isinstance(rules, str) else rules)]
    if not names or any(name not in RULES for name in names):
        raise InvalidConfig(f"{IndexOptionsScalper.name}.rules", rules, f"name one or more of {', '.join(RULES)}")
    return tuple(rule for rule in RULES if rule in names)
