"""The official SDK reads every documented and every recorded payload."""

from __future__ import annotations

import json
from typing import Any

import pytest
import upstox_client
from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2

from tests.shared_data import shared
from tests.venues.documents import FEED_PAGE, NOT_READ_BY_THE_SDK, PLAIN_JSON, RECORDED, REQUESTS, RESPONSES, Sample, recorded, samples
from tests.venues.official_sdk import Sdk


def test_every_documented_sample_has_its_reader() -> None:
    lines = shared("upstox/api_doc_samples.jsonl").read_text(encoding="utf-8").splitlines()
    pages = {(sample.page, sample.is_request) for sample in map(Sample, lines)}

    assert len(lines) == 85
    readers = {(page, False) for page in (*RESPONSES, *PLAIN_JSON, FEED_PAGE, *NOT_READ_BY_THE_SDK)}
    assert pages == readers | {(page, True) for page in (*REQUESTS, FEED_PAGE, "get-market-data-feed")}


@pytest.mark.parametrize("page", RESPONSES)
async def test_the_sdk_reads_the_documented_answers(sdk: Sdk, page: str) -> None:
    for sample in samples(page):
        answer = sdk.decode(sample.payload, RESPONSES[page])
        if isinstance(sample.payload, list):
            assert len(answer) == len(sample.payload)
        elif "status" in sample.payload:
            assert answer.status == sample.payload["status"]
            assert bool(answer.to_dict().get("data")) == bool(sample.payload.get("data"))


@pytest.mark.parametrize("page", REQUESTS)
def test_the_sdk_takes_the_documented_requests(page: str) -> None:
    for sample in samples(page, requests=True):
        for fields in sample.payload if isinstance(sample.payload, list) else [sample.payload]:
            assert getattr(upstox_client, REQUESTS[page])(**fields).to_dict().items() >= fields.items()


def test_the_sdk_reads_the_documented_frames() -> None:
    found = samples(FEED_PAGE)
    for sample in found:
        _straighten(sample.payload)
        frame = json_format.ParseDict(sample.payload, MarketDataFeedV3_pb2.FeedResponse())
        read = json_format.MessageToDict(MarketDataFeedV3_pb2.FeedResponse.FromString(frame.SerializeToString()))
        assert read == sample.payload
    assert len(found) == 6


def test_the_sdk_reads_recorded_frames() -> None:
    recordings = json.loads(shared("upstox/ws_feed_recorded_samples.json").read_text(encoding="utf-8"))["samples"]
    read = [each for each in recordings if "older V2 SDK shape" not in each["kind"]]
    for sample in read:
        json_format.ParseDict(sample["payload"], MarketDataFeedV3_pb2.FeedResponse())
    assert (len(recordings), len(read)) == (3, 2)


def _straighten(frame: dict[str, Any]) -> None:
    """The page prints two fields of its `full_d30` sample one level too deep for the SDK's schema."""
    feeds = frame.get("feeds", {})
    if "currentTs" in feeds:
        frame["currentTs"] = feeds.pop("currentTs")
    for feed in feeds.values():
        if "requestMode" in feed.get("fullFeed", {}):
            feed["requestMode"] = feed["fullFeed"].pop("requestMode")


@pytest.mark.parametrize("name", RECORDED)
async def test_the_sdk_reads_recorded_answers(sdk: Sdk, name: str) -> None:
    answer = sdk.decode(recorded(name), RECORDED[name])
    assert answer.status == "success"
    assert answer.data
