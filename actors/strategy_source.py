"""Strategies by name, or by the file that holds one: `ema_cross`, `my_strategy.py`, `my_strategy.py:MyStrategy`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, cast

import strategies
from runtime.errors import InvalidConfig
from runtime.strategy import Strategy
from strategies.parameters import convert_parameters


def strategy_class(source: str) -> type[Strategy]:
    """The class meant; a file's code runs when it is read.

    Raises:
        InvalidConfig: no such strategy or file, the file fails or does not hold exactly one strategy; says what to do.
    """
    file, name = _parts(source)
    if not file.endswith(".py"):
        found = strategies.REGISTRY.get(source)
        if found is None:
            raise InvalidConfig(
                "strategy", source, f"is not known; known are {', '.join(strategies.REGISTRY)}; or name a file, my_strategy.py:MyStrategy"
            )
        return found
    path = Path(file)
    if not path.is_file():
        raise InvalidConfig("strategy", source, f"{file} is not a file")
    candidates = _strategies_of(_load(path, source))
    if name:
        candidates = {key: value for key, value in candidates.items() if key == name}
    if len(candidates) != 1:
        known = ", ".join(candidates) or "none"
        raise InvalidConfig("strategy", source, f"name one class with `name` and `on_candle` of the file, as {file}:CLASS; found: {known}")
    return next(iter(candidates.values()))


def create_strategy(source: str, parameters: Mapping[str, object] | None = None) -> Strategy:
    """A fresh instance; parameters may be text and are checked by type and range.

    Raises:
        InvalidConfig: see `strategy_class`; or names the parameter, the value and the fix.
    """
    found = strategy_class(source)
    return found(**strategy_parameters(source, parameters or {}))


def file_of(source: str) -> bytes | None:
    """What a strategy's file holds, None for one that is known by name. Raises `InvalidConfig`, see `strategy_class`."""
    strategy_class(source)
    file, _ = _parts(source)
    return Path(file).read_bytes() if file.endswith(".py") else None


def placed(source: str, content: bytes | None) -> str:
    """`source` as it can be loaded on this machine: the file that it names elsewhere is written here, once in a process."""
    file, name = _parts(source)
    if content is None:
        return source
    path = Path(file)
    if not (path.is_file() and path.read_bytes() == content):
        path = Path(_folder().name) / hashlib.blake2s(content, digest_size=6).hexdigest() / path.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return f"{path}:{name}" if name else str(path)


@cache
def _folder() -> TemporaryDirectory[str]:
    """Gone with the process."""
    return TemporaryDirectory(prefix="shoal-strategies-")


def _parts(source: str) -> tuple[str, str]:
    """(name or file, class or "")."""
    file, _, name = source.rpartition(":") if ".py:" in source else (source, "", "")
    return file, name


def strategy_parameters(source: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    """`parameters` converted to the types that the strategy wants."""
    found = strategy_class(source)
    return cast("dict[str, Any]", convert_parameters(found.name, found, parameters))


def _load(path: Path, source: str) -> ModuleType:
    """Each content of a file is a module of its own: a changed file is read anew, an unchanged one once in a process."""
    content = path.read_bytes()
    name = f"shoal_strategy_{path.stem}_{hashlib.blake2s(content, digest_size=6).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidConfig("strategy", source, "cannot be read as a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a strategy is foreign code: whatever it raises is the user's to mend
        del sys.modules[name]
        raise InvalidConfig("strategy", source, f"the file fails: {type(error).__name__}: {error}") from error
    return module


def _strategies_of(module: ModuleType) -> dict[str, type[Strategy]]:
    classes = {name: value for name, value in vars(module).items() if isclass(value) and value.__module__ == module.__name__}
    found = {
        name: value for name, value in classes.items() if isinstance(getattr(value, "name", None), str) and hasattr(value, "on_candle")
    }
    return cast("dict[str, type[Strategy]]", found)
