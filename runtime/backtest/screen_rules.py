"""What the screening lane can do of a session, and its exits and sizes as whole numbers for the compiled loop."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from runtime.backtest import screen_kernels as kernels
from runtime.backtest.result import BacktestSpec
from runtime.errors import InvalidConfig
from runtime.fees import fee_schedule
from runtime.kernel_strategy import KernelStrategy
from runtime.market import InstrumentKind
from runtime.session import ExitMode, Level, LevelUnit, SizingMethod
from runtime.sizing import round_down
from runtime.strategy import Strategy

USE_EXACT = "use --lane exact"


def why_not(spec: BacktestSpec, strategy: Strategy) -> InvalidConfig | None:
    """What the screening lane cannot do of what is asked, None if it can do it all."""
    session, subscription = spec.session, spec.subscription
    sizing, protection, risk = subscription.sizing, subscription.protection, session.risk
    schedule, freeze = fee_schedule(session.fees), spec.instrument.freeze_quantity
    fixed, guarded = sizing.method is SizingMethod.FIXED, protection.exit_mode is not ExitMode.SIGNAL_ONLY
    levels = (protection.stop, protection.target)
    left_to_strategy = guarded and None in levels and getattr(strategy, "gives_levels", True)
    obstacles: Sequence[tuple[str, object, str, bool]] = (
        ("strategy", subscription.strategy, "is no KernelStrategy", not isinstance(strategy, KernelStrategy)),
        ("instrument", spec.instrument.id, "is an index, traded through options", spec.instrument.kind is InstrumentKind.INDEX),
        ("sizing.method", sizing.method, "needs an average true range", sizing.method is SizingMethod.VOLATILITY_TARGET),
        ("protection.stop/target", None, "left to the strategy are not known here: give both", left_to_strategy),
        ("protection.trail", protection.trail, "must be none", guarded and protection.trail is not None),
        ("protection.at_broker", protection.at_broker, "must be false", guarded and protection.at_broker),
        ("protection.square_off", protection.square_off, "must be none", protection.square_off is not None),
        ("protection.max_hold", protection.max_hold, "must be none", protection.max_hold is not None),
        ("protection.max_trades_per_day", protection.max_trades_per_day, "must be none", protection.max_trades_per_day is not None),
        ("protection.min_days_to_expiry", protection.min_days_to_expiry, "must be none", protection.min_days_to_expiry is not None),
        ("paused", subscription.paused, "must be false", subscription.paused),
        (
            "instrument.freeze_quantity",
            freeze,
            "must be none, or not below a fixed quantity",
            freeze is not None and (not fixed or (sizing.quantity or 0) > freeze),
        ),
        ("cooldown", subscription.cooldown, "must be zero", bool(subscription.cooldown)),
        ("risk.max_daily_loss", risk.max_daily_loss, "must be none", risk.max_daily_loss is not None),
        ("risk.max_notional", risk.max_notional, "must be none", risk.max_notional is not None),
        ("risk.max_portfolio_heat", risk.max_portfolio_heat, "must be none", risk.max_portfolio_heat is not None),
        ("risk.max_orders_per_second", risk.max_orders_per_second, "must be 4 or more", risk.max_orders_per_second < 4),
        ("--slippage", f"{session.slippage_percent}%", "must be in ticks", session.slippage_percent > 0),
        ("--slippage", f"random:{spec.slippage.random_ticks}", "must be in ticks that are always the same", spec.slippage.random_ticks > 0),
        ("--fees", session.fees, "must be flat:RATE or none", bool(schedule.brokerage or schedule.exchange_charge)),
    )
    for field, value, what, met in obstacles:
        if met:
            return InvalidConfig(field, value, f"{what} in the screening lane: {USE_EXACT}")
    return None


def level_numbers(level: Level | None, tick: Decimal) -> kernels.Level:
    """As `runtime.exits` computes it, in whole numbers."""
    if level is None:
        return kernels.NO_LEVEL, 0, 0, 1
    if level.unit is LevelUnit.PERCENT:
        numerator, divisor = (level.value / 100).as_integer_ratio()
        return kernels.DISTANCE, 0, numerator, divisor
    numerator, divisor = (Fraction(level.value) / Fraction(tick)).as_integer_ratio()
    return (kernels.PRICE if level.unit is LevelUnit.ABSOLUTE else kernels.DISTANCE), numerator, 0, divisor


def sizing_numbers(spec: BacktestSpec) -> tuple[int, int, int, int, int]:
    """As `runtime.sizing.position_size` computes it, in lots and ticks; see `screen_kernels.size_of`.

    Raises:
        InvalidConfig: a fixed quantity of less than one lot.
    """
    sizing, lot = spec.subscription.sizing, spec.instrument.lot_size
    step = Fraction(lot) * Fraction(spec.instrument.tick_size)
    least = ceil(Fraction(spec.instrument.min_notional) / step)
    if sizing.method is SizingMethod.FIXED:
        lots = int(round_down(sizing.quantity or Decimal(0), lot) / lot)
        if lots <= 0:
            raise InvalidConfig("sizing.quantity", sizing.quantity, f"is less than one lot of {lot}")
        return lots, 0, 0, 0, least
    capital, leverage = Fraction(spec.session.capital), Fraction(sizing.leverage)
    risk = capital * Fraction(sizing.risk_per_trade)
    factor = leverage if sizing.method is SizingMethod.LEVERAGED_RISK else 1
    return 0, floor(risk * factor / step), floor(risk * leverage / step), floor(capital * leverage / step), least
