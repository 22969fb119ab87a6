"""Backtests: the live engine over recorded candles (exact lane), and a compiled twin of it for sweeps (screening lane)."""
