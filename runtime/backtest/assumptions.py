"""What a backtest takes for granted, in plain words: shown with every result."""

from __future__ import annotations

from runtime.backtest.result import BacktestSpec, FillModel


def assumptions(spec: BacktestSpec, *, synthetic: bool) -> tuple[str, ...]:
    session = spec.session
    lines = [_FILLS[spec.fill]]
    lines += [
        "A stop, target or trail is met at its own price, or at the open when the market opens beyond it.",
        "When one candle reaches both the stop and the target, the stop is taken to come first.",
        "Every order is filled whole and moves no price.",
        _slippage(spec),
        f"Fees: {session.fees}, per fill at the rates of its date.",
        f"Position size follows the starting capital {session.capital}; profits are not reinvested.",
        "The strategy sees a candle only after its close.",
    ]
    if spec.close_at_end:
        lines.append("What is still open at the end is sold at the last close.")
    if synthetic:
        lines.append(
            "SYNTHETIC: option premiums were computed by a model, not recorded; results show the shape of a strategy, not its profit."
        )
    return tuple(lines)


def _slippage(spec: BacktestSpec) -> str:
    slippage, percent = spec.slippage, spec.session.slippage_percent
    if slippage.ticks or slippage.random_ticks:
        drawn = f" and up to {slippage.random_ticks} more, drawn from seed {spec.seed}" if slippage.random_ticks else ""
        return f"Slippage: {slippage.ticks} ticks against the trader{drawn}, on every fill."
    return f"Slippage: {percent} % of the price against the trader on every fill." if percent else "No slippage."


_FILLS = {
    FillModel.NEXT_OPEN: "An order that a candle's close leads to is filled at the next candle's open.",
    FillModel.CLOSE: "OPTIMISTIC: an order that a candle's close leads to is filled at that very close.",
}
