"""A page's data in one string: JSON and the arrays it refers to, compressed, in base64. `assets/data.js` reads it."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 8
_LEVEL = 4
"""A fifth of the time of level 6, for one percent more bytes."""
_INT32_MAX = 2**31 - 1


def pack(data: object) -> str:
    """`data` may hold int and float arrays anywhere: they travel little endian as float64, and as the shortest of int8, int16
    and int32 that holds every value, which leaves half as much to compress.

    Layout before compression: byte length of the JSON (uint32), the JSON, zeros up to a multiple of 8, the arrays. In the
    JSON an array is {"$array": [byte offset after the JSON, number of items, "i1", "i2", "i4" or "f8"]}.
    """
    arrays: list[bytes] = []
    size = 0

    def keep(value: Any) -> Any:
        nonlocal size
        if not isinstance(value, np.ndarray):
            raise NotImplementedError(f"{type(value).__name__} has no place on a page")
        kind = "f8" if np.issubdtype(value.dtype, np.floating) else _shortest(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        content = value.astype(f"<{kind}").tobytes()
        reference = {"$array": [size, value.size, kind]}
        content += bytes(-len(content) % _ALIGNMENT)
        arrays.append(content)
        size += len(content)
        return reference

    text = msgspec.json.encode(data, enc_hook=keep)
    head = struct.pack("<I", len(text)) + text
    return b64encode(zlib.compress(head + bytes(-len(head) % _ALIGNMENT) + b"".join(arrays), _LEVEL)).decode()


def _shortest(values: NDArray[np.integer]) -> str:
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    return next((kind for kind in ("i1", "i2") if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max), "i4")


def decimals_of(prices: NDArray[np.float64], most: int = 8) -> int:
    """The fewest decimals that write every price exactly (to 1e-9 of it) and keep it within int32."""
    largest = float(np.abs(prices).max(initial=0.0))
    decimals = 0
    while decimals < most and largest * 10 ** (decimals + 1) < _INT32_MAX:
        scaled = prices * 10**decimals
        if np.allclose(scaled, np.rint(scaled), rtol=1e-9, atol=0.0):
            break
        decimals += 1
    return decimals


def differences(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first value, then what each adds to the one before: small numbers, which compress well."""
    return np.diff(values, prepend=0)
