"""Where closed trades are kept until the run is over: in memory, or with whoever implements `TradeColumns`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""By the names of `TradeTable`, without those of its texts."""

BLOCK_TRADES = 4_096


class TradeColumns(Protocol):
    def append(self, block: Columns) -> None:
        """The next trades, at most `BLOCK_TRADES`; every block has the same columns of the same types."""
        ...

    def whole(self) -> Columns:
        """All blocks, one after the other; at least one has been appended."""
        ...


class TradesInMemory:
    """About 120 bytes a trade."""

    def __init__(self) -> None:
        self._blocks: list[Columns] = []

    def append(self, block: Columns) -> None:
        self._blocks.append(block)

    def whole(self) -> Columns:
        return {name: np.concatenate([block[name] for block in self._blocks]) for name in self._blocks[0]}
