"""Plain Python functions of numbers that also run compiled.

A function marked `kernel` reads and writes numbers, lists or arrays of them, and calls nothing but builtins, `math` and
other kernels. Called as it stands it is ordinary Python, which is what a live strategy does once a minute; `compiled`
gives its machine-code twin for a million candles. Both do the same floating-point operations in the same order (no fused
or re-ordered arithmetic), so they agree to the last bit. numba is imported on the first call of `compiled` only.

numba keeps the machine code on disk for the next process, beside the source or in the user's cache folder (NUMBA_CACHE_DIR
moves it); where it can write to neither, every process compiles for itself. numba watches the one file a function stands
in, so that the name it keeps the code under carries a hash of everything that went into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_MARK = "__kernel__"
_COMPILED: dict[object, object] = {}
_CALLED: dict[object, object] = {}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    setattr(function, _MARK, True)
    return function


def compiled(function: Callable[P, R], **bound: Callable[..., Any]) -> Callable[P, R]:
    """The compiled twin, made once per process; it lets other threads run while it works.

    `bound`: kernels that take the place of names which `function` calls.
    """
    key = (function, *sorted(bound.items()))
    twin = _COMPILED.get(key)
    if twin is None:
        twin = _COMPILED[key] = _kept(_twin(cast("FunctionType", function), bound))
    return cast("Callable[P, R]", twin)


def _twin(function: FunctionType, bound: dict[str, Callable[..., Any]]) -> Any:
    import numba

    inner = {name: _called_twin(cast("FunctionType", called)) for name, called in _called(function, bound).items()}
    twin: Any = FunctionType(
        function.__code__, function.__globals__ | inner, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__qualname__ = f"{function.__qualname__}_{_hash(function, bound)}"
    jit: Any = numba.njit(nogil=True, error_model="numpy", forceinline=True)
    return jit(twin)


def _called_twin(function: FunctionType) -> object:
    """Goes into its callers' code. On its own it is not kept: two processes that keep it for different types at once would mix them up."""
    twin = _CALLED.get(function)
    if twin is None:
        twin = _CALLED[function] = _twin(function, {})
    return twin


def _kept(twin: Any) -> object:
    with suppress(RuntimeError):  # no folder to write to, or no file that it came from
        twin.enable_caching()
    return twin


def _called(function: FunctionType, bound: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The kernels it calls, by the names it calls them by."""
    names = function.__globals__
    return {name: names[name] for name in function.__code__.co_names if getattr(names.get(name), _MARK, False)} | bound


def _hash(function: FunctionType, bound: dict[str, Callable[..., Any]]) -> str:
    """Of its code, the constants it reads, and the same of all it calls."""
    names, called = function.__globals__, _called(function, bound)
    digest = hashlib.blake2s(repr((_text(function.__code__), function.__defaults__)).encode(), digest_size=8)
    for name in function.__code__.co_names:
        if name in called:
            digest.update(_hash(cast("FunctionType", called[name]), {}).encode())
        elif name in names:
            digest.update(f"{name}={_constant(names[name])!r}".encode())
    return digest.hexdigest()


def _constant(value: Any) -> Any:
    """What a global brings into machine code: a constant itself, a named tuple's type its fields, another module nothing."""
    return getattr(value, "_fields", None) if callable(value) or isinstance(value, ModuleType) else value


def _text(code: CodeType) -> tuple[object, ...]:
    constants = tuple(_text(value) if isinstance(value, CodeType) else value for value in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames
