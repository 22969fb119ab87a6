"""One user's trader as a pure state machine: `TradingEngine.process(input) -> effects`.

`turn` collects the effects of one input. `session` and `subscribing` handle commands, `entering` signals, `leaving`
prices, `timing` the clock, `fills` order events; `booking` puts fills into positions, `limits` says why an entry is refused,
and `sending` finds what a subscription still has to send. None of them does I/O or knows the time: every input carries it.
"""

from runtime.engine.engine import TradingEngine

__all__ = ["TradingEngine"]
