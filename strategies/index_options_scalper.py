"""At-the-money options on an index, traded from its one-minute candles."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from typing import ClassVar, Literal

from runtime.chains import near_the_money, pcr, pcr_change
from runtime.errors import InvalidConfig
from runtime.exits import decimal_price
from runtime.kernel_strategy import KernelStrategy
from runtime.market import Candle, Instrument, OptionQuote, Quote, Right
from runtime.signals import Side, Target
from runtime.strategy import MarketContext
from strategies import scalper_kernel as at
from strategies.parameters import ClockTime, Fraction, Minutes, Multiple, Percent, Period, Switch, clock_time

RULES = ("orb", "inside_bar", "reversal", "momentum")
"""In order of priority: the first that fires wins."""

_WORKINGS = ("by_volume", "mother_high", "mother_low", "shape", "near")
"""Values that only serve to say why."""

_LEVELS = {at.VWAP: "VWAP", at.EMA_FAST: "the fast EMA", at.EMA_SLOW: "the slow EMA"}


class IndexOptionsScalper(KernelStrategy):
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
    rules = RULES
    columns = ("ema_fast", "ema_slow", "vwap", "atr", "orb_high", "orb_low", "volume", "volume_mean", "pcr", *_WORKINGS)
    step = staticmethod(at.scalper_step)

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
        start, end = (clock_time(f"{self.name}.{name}", text) for name, text in (("orb_start", orb_start), ("orb_end", orb_end)))
        if start >= end:
            raise InvalidConfig(f"{self.name}.orb_end", orb_end, f"must be after orb_start ({orb_start})")
        chosen = _chosen_rules(rules)
        self._pcr_limited = pcr_min is not None or pcr_max is not None
        self._volume_filter = volume_filter == "on"
        self._stop_fraction, self._reward_risk = stop_loss_percent, reward_risk
        self._pcr_change: float | None = None
        super().__init__(
            (
                *(ema_fast, 2.0 / (ema_fast + 1), ema_slow, 2.0 / (ema_slow + 1), atr_period, 1.0 / atr_period),
                *(start.hour * 60 + start.minute, end.hour * 60 + end.minute),
                *(rule in chosen for rule in RULES),
                breakout_on == "touch",
                *(self._volume_filter, volume_multiple, volume_period, trade_lock_minutes * 60, proximity_percent / 100.0),
                *(hammer_shadow, hammer_other_shadow, hammer_body_zone, strong_body, strong_close),
                *(nan if limit is None else limit for limit in (pcr_min, pcr_max)),
            ),
            state_size=at.state_size(volume_period),
        )

    def put_call_ratio(self, context: MarketContext) -> float:
        chain, previous = context.chain, context.previous_chain
        self._pcr_change = pcr_change(chain, previous) if chain and previous else None
        ratio = pcr(chain) if chain else None
        return nan if ratio is None else ratio

    def described(self, values: Sequence[float]) -> dict[str, float | str | None]:
        told = super().described(values)
        for name in _WORKINGS:
            del told[name]
        return told | {"pcr_change": self._pcr_change, "notes": self._notes(values)}

    def _notes(self, values: Sequence[float]) -> str | None:
        notes: list[str] = []
        if values[at.BY_VOLUME] != 1.0:
            notes.append("VWAP is the time-weighted mean of the typical price: no volume")
        if self._volume_filter and isnan(values[at.VOLUME]):
            notes.append("volume filter off: no volume")
        if self._pcr_limited and isnan(values[at.PCR]):
            notes.append("the PCR filter blocks: no option chain")
        return "; ".join(notes) or None

    def explain(self, code: int, values: Sequence[float], candle: Candle, context: MarketContext) -> Target:
        side, rule = (1 if code > 0 else -1), abs(code)
        contract = near_the_money(context.chain, Right.CALL if side > 0 else Right.PUT) if context.chain else None
        quote = _newest(contract, context) if contract else None
        premium = quote.price if quote else None
        stop, target = self._levels(premium, contract.instrument) if premium and contract else (None, None)
        return Target(
            side=Side.LONG if side > 0 else Side.SHORT,
            rule=RULES[rule - 1],
            reason=_reason(rule, side, values, candle),
            direction="BUY_CALL" if side > 0 else "BUY_PUT",
            price=candle.close,
            instrument=contract.instrument if contract else None,
            contract_price=premium,
            contract_bid=quote.bid if quote else None,
            contract_ask=quote.ask if quote else None,
            stop=stop,
            target=target,
            context=self.described(values),
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


def _reason(rule: int, side: int, values: Sequence[float], candle: Candle) -> str:
    if rule in {at.ORB, at.INSIDE_BAR}:
        whose, high, low = ("opening range", at.ORB_HIGH, at.ORB_LOW) if rule == at.ORB else ("mother bar", at.MOTHER_HIGH, at.MOTHER_LOW)
        level = f"above the {whose}'s high {values[high]}" if side > 0 else f"below the {whose}'s low {values[low]}"
        return f"price {candle.close} {level}"
    if rule == at.REVERSAL:
        near = int(values[at.NEAR])
        return f"{at.SHAPES[int(values[at.SHAPE])]} at {candle.close} near {_LEVELS[near]} {values[near]:.2f}"
    fast, slow = values[at.EMA_FAST], values[at.EMA_SLOW]
    return f"strong candle to {candle.close}, fast EMA {fast:.2f} against slow {slow:.2f}, VWAP {values[at.VWAP]:.2f}"


def _chosen_rules(rules: str | list[str]) -> tuple[str, ...]:
    names = [name.strip() for name in (rules.split(",") if isinstance(rules, str) else rules)]
    if not names or any(name not in RULES for name in names):
        raise InvalidConfig(f"{IndexOptionsScalper.name}.rules", rules, f"name one or more of {', '.join(RULES)}")
    return tuple(rule for rule in RULES if rule in names)
