"""One user's trader as a pure state machine: `TradingEngine.process(input) -> effects`.

`turn` collects the effects of one input; `session` handles commands, `entering` signals, `leaving` prices and clocks,
`fills` order events. None of them does I/O or knows the time: every input carries it.
"""

from runtime.engine.engine import TradingEngine

__all__ = ["TradingEngine"]
