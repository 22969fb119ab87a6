"""Results of backtests, sweeps and walk-forward analyses in the store: one document each, long content in parts beside it.

The id is the fingerprint of configuration, seed and candles: the same run again is the same document, byte by byte.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from actors.backtest import Backtest
from runtime.errors import InvalidInput
from runtime.ports import Store

BACKTESTS, PARTS = "backtests", "backtest_parts"
_PART_BYTES = 8_000_000
"""Below a document's 16 MB by a margin."""
_ID_LENGTH = 16
_LISTED_MAX = 1_000
_ENCODER = msgspec.json.Encoder(order="deterministic")


class StoredResult(msgspec.Struct, frozen=True, kw_only=True):
    """`summary` is what `--json` printed; `content` the columns of trades and equity, or the rows of a table."""

    id: str
    kind: str
    ts: datetime
    strategy: str
    instrument: str
    timeframe: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    fingerprint: str
    configuration: dict[str, Any]
    summary: dict[str, Any]


async def keep_backtest(store: Store, run: Backtest, ts: datetime) -> str:
    """Store a backtest; `ts` is when it was kept, of which the first is kept too. Returns its id."""
    result, equity = run.result, run.result.equity
    content = {
        "trades": {name: _plain(getattr(result.trades, name)) for name in result.trades.__struct_fields__},
        "equity": {"day": equity.day.astype(str).tolist(), "equity": equity.equity.tolist()},
    }
    return await keep(
        store,
        kind="backtest",
        ts=ts,
        summary=run.summary(),
        metrics=run.metrics,
        configuration=msgspec.to_builtins(result.spec),
        content=content,
    )


async def keep(
    store: Store,
    *,
    kind: str,
    ts: datetime,
    summary: Mapping[str, Any],
    metrics: Mapping[str, Any],
    configuration: Mapping[str, Any],
    content: object,
) -> str:
    """Store a result; `summary` names strategy, instrument, timeframe, parameters and fingerprint. Returns its id."""
    key = str(summary["fingerprint"])[:_ID_LENGTH]
    packed = zlib.compress(_ENCODER.encode(content))
    parts = [packed[at : at + _PART_BYTES] for at in range(0, len(packed), _PART_BYTES)]
    await store.upsert(
        PARTS, {f"{key}:{number}": {"backtest": key, "number": number, "content": part} for number, part in enumerate(parts)}
    )
    document = {name: summary[name] for name in ("strategy", "instrument", "timeframe", "fingerprint")}
    document |= {
        "kind": kind,
        "ts": ts,
        "parts": len(parts),
        "parameters": _ENCODER.encode(summary["parameters"]).decode(),
        "metrics": _ENCODER.encode(metrics).decode(),
        "configuration": _ENCODER.encode(configuration).decode(),
        "summary": _ENCODER.encode(summary).decode(),
    }
    await store.insert_once(BACKTESTS, key, document)
    return key


async def listed(store: Store, limit: int = _LISTED_MAX) -> list[StoredResult]:
    """The newest first."""
    return [_result(document) for document in await store.find(BACKTESTS, {}, sort="ts", descending=True, limit=limit)]


async def find(store: Store, part_of_id: str) -> StoredResult:
    """Raises `InvalidInput` unless exactly one id begins so."""
    document = await store.get(BACKTESTS, part_of_id)
    if document is not None:
        return _result(document)
    matches = [result for result in await listed(store) if result.id.startswith(part_of_id)]
    if len(matches) != 1:
        known = ", ".join(result.id for result in (matches or await listed(store, 5))) or "none"
        raise InvalidInput(
            "backtest", part_of_id, f"fits {len(matches)} of the stored ones; " + ("they are " if matches else "the newest are ") + known
        )
    return matches[0]


async def content(store: Store, result: StoredResult) -> dict[str, Any]:
    parts = await store.find(PARTS, {"backtest": result.id}, sort="number")
    return msgspec.json.decode(zlib.decompress(b"".join(part["content"] for part in parts)))


async def delete(store: Store, result: StoredResult) -> None:
    """The document first: what is left of parts after a failure is nobody's, and is written over by the same run."""
    await store.delete(BACKTESTS, result.id)
    for part in await store.find(PARTS, {"backtest": result.id}):
        await store.delete(PARTS, part["_id"])


def _result(document: Mapping[str, Any]) -> StoredResult:
    decoded = {name: msgspec.json.decode(document[name]) for name in ("parameters", "metrics", "configuration", "summary")}
    plain = {name: document[name] for name in ("kind", "ts", "strategy", "instrument", "timeframe", "fingerprint")}
    return StoredResult(id=document["_id"], **plain, **decoded)


def _plain(column: Any) -> Any:
    """Names stay names; times become epoch seconds."""
    if isinstance(column, tuple):
        return cast("tuple[str, ...]", column)
    return column.astype("int64").tolist() if column.dtype.kind == "M" else column.tolist()
