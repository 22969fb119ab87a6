"""Trades of a backtest on disk while it runs, so that its memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InvalidInput


class TradeFolder:
    """Implements `runtime.backtest.trade_columns.TradeColumns`.

    One file per column, `NAME.bin`: the bare numbers, little endian, as numpy's `tofile` writes them. `whole` maps the files
    into memory, so that only what is read of them is loaded, and may be dropped again. They are the result's own columns: they have to stay as long as the result is
    used, and are the caller's to delete.
    """

    def __init__(self, folder: Path) -> None:
        """Makes `folder`.

        Raises:
            InvalidInput: it cannot be made or holds something already.
        """
        self._folder = folder
        self._types: dict[str, np.dtype[Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = any(folder.iterdir())
        except OSError as error:
            raise InvalidInput("trades folder", str(folder), f"cannot be used: {error.strerror}") from error
        if taken:
            raise InvalidInput("trades folder", str(folder), "is not empty: name a new one")

    def append(self, block: Mapping[str, NDArray[Any]]) -> None:
        for name, values in block.items():
            self._types[name] = values.dtype
            with self._path(name).open("ab") as file:
                file.write(np.ascontiguousarray(values).tobytes())

    def whole(self) -> Mapping[str, NDArray[Any]]:
        return {name: self._mapped(name, kind) for name, kind in self._types.items()}

    def _mapped(self, name: str, kind: np.dtype[Any]) -> NDArray[Any]:
        path = self._path(name)
        return np.asarray(np.memmap(path, dtype=kind, mode="r")) if path.stat().st_size else np.empty(0, dtype=kind)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bin"
