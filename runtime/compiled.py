"""Plain Python functions of numbers that also run compiled.

A function marked `kernel` reads and writes numbers, lists or arrays of them, and calls nothing but builtins, `math` and
other kernels. Called as it stands it is ordinary Python, which is what a live strategy does once a minute; `compiled`
gives its machine-code twin for a million candles. Both do the same floating-point operations in the same order (no fused
or re-ordered arithmetic), so they agree to the last bit. numba is imported on the first call of `compiled` only.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_MARK = "__kernel__"
_COMPILED: dict[object, object] = {}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    setattr(function, _MARK, True)
    return function


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The compiled twin, made once per process; it lets other threads run while it works."""
    twin = _COMPILED.get(function)
    if twin is None:
        twin = _COMPILED[function] = _compile(cast("FunctionType", function))
    return cast("Callable[P, R]", twin)


def _compile(function: FunctionType) -> object:
    import numba

    names = function.__globals__
    inner = {name: compiled(names[name]) for name in function.__code__.co_names if getattr(names.get(name), _MARK, False)}
    twin: Any = FunctionType(function.__code__, names | inner, function.__name__, function.__defaults__, function.__closure__)
    jit: Any = numba.njit(nogil=True, error_model="numpy", forceinline=True)
    return jit(twin)
