"""The vendor's protobuf messages of the market data socket, taken out of its SDK without importing the SDK.

Only that one module is loaded: the package around it takes 35 MB and half a second, and brings an HTTP stack that
re-sends orders by itself.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from runtime.errors import AdapterUnavailable

_MODULE = "upstox_client.feeder.proto.MarketDataFeedV3_pb2"


@lru_cache(maxsize=1)
def feed_response() -> Any:
    """The class `FeedResponse`. Raises `AdapterUnavailable` where the extra `upstox` is not installed."""
    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        return loaded.FeedResponse
    package = find_spec("upstox_client")
    if package is None or not package.submodule_search_locations:
        raise AdapterUnavailable("upstox-python-sdk", "upstox")
    path = Path(package.submodule_search_locations[0]) / "feeder" / "proto" / "MarketDataFeedV3_pb2.py"
    spec = spec_from_file_location("adapters.upstox._market_data_feed_v3", path)
    if spec is None or spec.loader is None or not path.exists():
        raise AdapterUnavailable("upstox-python-sdk", "upstox")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FeedResponse
