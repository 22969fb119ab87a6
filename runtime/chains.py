"""What an option chain says: put-call ratio, at-the-money strike, the strikes with the largest open interest."""

from __future__ import annotations

from runtime.market import ChainRow, OptionChain, OptionQuote, Right


def pcr(chain: OptionChain) -> float | None:
    """Put-call ratio: sum of put open interest / sum of call open interest. None without any call open interest."""
    calls = sum(row.call.open_interest or 0.0 for row in chain.rows if row.call)
    puts = sum(row.put.open_interest or 0.0 for row in chain.rows if row.put)
    return puts / calls if calls > 0.0 else None


def pcr_change(chain: OptionChain, previous: OptionChain) -> float | None:
    """Ratio now minus ratio before; None where either is unknown."""
    now, before = pcr(chain), pcr(previous)
    return None if now is None or before is None else now - before


def atm_strike(chain: OptionChain) -> float:
    """The listed strike nearest to spot, the lower one of two equally near."""
    return chain.rows[_atm_index(chain)].strike


def strikes_around(chain: OptionChain, steps: int) -> list[float]:
    """The at-the-money strike and `steps` listed strikes on each side of it, ascending; fewer at the ends of the chain."""
    return [row.strike for row in rows_around(chain, steps)]


def rows_around(chain: OptionChain, steps: int) -> tuple[ChainRow, ...]:
    at = _atm_index(chain)
    return chain.rows[max(at - steps, 0) : at + steps + 1]


def max_oi_strikes(chain: OptionChain, right: Right, count: int = 1) -> list[float]:
    """Strikes by open interest, largest first, those without any left out (calls: resistance, puts: support)."""
    interest = [(_open_interest(row, right), row.strike) for row in chain.rows]
    ranked = sorted((entry for entry in interest if entry[0] > 0.0), key=lambda entry: -entry[0])
    return [strike for _, strike in ranked[:count]]


def near_the_money(chain: OptionChain, right: Right) -> OptionQuote | None:
    """The quote of `right` at the listed strike nearest to spot that has this side; None if no strike has."""
    sides = [quote for row in chain.rows if (quote := side(row, right)) is not None]
    return min(sides, key=lambda quote: abs((quote.instrument.strike or 0.0) - chain.spot), default=None)


def side(row: ChainRow, right: Right) -> OptionQuote | None:
    return row.call if right is Right.CALL else row.put


def _open_interest(row: ChainRow, right: Right) -> float:
    quote = side(row, right)
    return (quote.open_interest or 0.0) if quote else 0.0


def _atm_index(chain: OptionChain) -> int:
    return min(range(len(chain.rows)), key=lambda at: abs(chain.rows[at].strike - chain.spot))
