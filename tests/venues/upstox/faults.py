"""Faults a test can ask for: written as data, in YAML or JSON, or built in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import yaml


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault", forbid_unknown_fields=True):
    """Base of all. `user`: only of this customer; `at`: from this venue time on (IST where it names no zone), None: at once."""

    user: str | None = None
    at: datetime | None = None


class CallFault(Fault, frozen=True, kw_only=True):
    """Strikes calls of `operation` (`*`: any): the `nth` from now on, and the `times` - 1 after it."""

    operation: str = "*"
    nth: int = 1
    times: int = 1


class DropBeforeCommit(CallFault, frozen=True, kw_only=True, tag="drop_before_commit"):
    """The connection is cut before the venue has done anything."""


class DropAfterCommit(CallFault, frozen=True, kw_only=True, tag="drop_after_commit"):
    """The venue does what was asked, then cuts the connection instead of answering."""


class Delay(CallFault, frozen=True, kw_only=True, tag="delay"):
    """Done at once, answered after `seconds` of venue time; `wall_seconds` of the machine's where a real wait is wanted."""

    seconds: float = 0.0
    wall_seconds: float = 0.0


class Hang(CallFault, frozen=True, kw_only=True, tag="hang"):
    """Done if `taken`, and never answered; the connection stays open."""

    taken: bool = True


class Answer(CallFault, frozen=True, kw_only=True, tag="answer"):
    """Answered with `status` and the error `code` (or with `body` as it is) whether or not it was done, as `taken` says.

    A 400 for an order that was placed is `status: 400, taken: true`; an HTML page is `status: 200, body: "<html>…"`.
    """

    status: int
    code: str = "UDAPI100500"
    message: str = "Something went wrong... please contact us"
    body: str | None = None
    content_type: str = "text/html"
    taken: bool = False
    retry_after: int | None = None


class TooManyRequests(CallFault, frozen=True, kw_only=True, tag="too_many_requests"):
    """429 with the documented envelope; nothing is done."""

    retry_after: int | None = None


class Rewrite(CallFault, frozen=True, kw_only=True, tag="rewrite"):
    """Fields of the answer are replaced: `{"data.order_ids": []}`, `{"data.*.status": "half done"}`; a null value deletes the field."""

    fields: dict[str, Any]


class WrongDate(CallFault, frozen=True, kw_only=True, tag="wrong_date"):
    """The answer's `Date` header is so many seconds ahead of this machine's clock, behind it where negative."""

    seconds: float


class LateAcceptance(CallFault, frozen=True, kw_only=True, tag="late_acceptance"):
    """Answered at once, but the order reaches risk desk and exchange after `seconds` of venue time; `hidden` from every book until then."""

    seconds: float
    hidden: bool = True
    operation: str = "place"


class RejectLater(CallFault, frozen=True, kw_only=True, tag="reject_later"):
    """Answered as accepted, then rejected by the risk desk."""

    reason: str = "RMS:Margin Exceeds, Cash Available:0.00"
    seconds: float = 0.0
    operation: str = "place"


class PartialFills(CallFault, frozen=True, kw_only=True, tag="partial_fills"):
    """Filled in parts of these units, `every` seconds of venue time apart; the rest after the last; none at all: never filled."""

    quantities: tuple[int, ...] = ()
    every: float = 1.0
    operation: str = "place"


class LaggingBook(Fault, frozen=True, kw_only=True, tag="lagging_book"):
    """For `minutes`, order book, details, history and trades show what they would have shown `seconds` earlier."""

    seconds: float
    minutes: float = 60.0


class ExpireTokens(Fault, frozen=True, kw_only=True, tag="expire_tokens"):
    """Access tokens end now; `feeds` says whether open sockets are closed, too."""

    feeds: bool = True
    analytics: bool = False


class RefuseAddress(Fault, frozen=True, kw_only=True, tag="refuse_address"):
    """The registered address is another one from now on: orders are refused with UDAPI1154."""

    registered: str = "203.0.113.7"


class FeedSilence(Fault, frozen=True, kw_only=True, tag="feed_silence"):
    """No frame of the market data feed for `seconds`; sockets stay open."""

    seconds: float


class FeedClose(Fault, frozen=True, kw_only=True, tag="feed_close"):
    """Open sockets of a `stream` are closed with `code`; 1006: cut without a closing handshake."""

    code: int = 1006
    stream: Literal["market", "portfolio"] = "market"


class FeedRefusal(Fault, frozen=True, kw_only=True, tag="feed_refusal"):
    """The next `times` handshakes of sockets of a `stream` are answered with `status`."""

    status: int = 503
    times: int = 1
    stream: Literal["market", "portfolio"] = "market"


class MalformedFrame(Fault, frozen=True, kw_only=True, tag="malformed_frame"):
    """One frame of the market data feed is not protobuf."""


class FeedTicks(Fault, frozen=True, kw_only=True, tag="feed_ticks"):
    """The next `times` frames come twice (`duplicate`), after their successor (`reorder`), or without the time and size of the last
    trade, the previous close and the bars (`sparse`), as some recorded ones do.
    """

    how: Literal["duplicate", "reorder", "sparse"]
    times: int = 1


class StreamUpdates(Fault, frozen=True, kw_only=True, tag="stream_updates"):
    """The next `times` portfolio messages come twice (`duplicate`), after their successor (`reorder`), not at all (`drop`), or with
    these `fields` replaced (`rewrite`), as `Rewrite` does with answers.
    """

    how: Literal["duplicate", "reorder", "drop", "rewrite"]
    times: int = 1
    fields: dict[str, Any] = {}


class Spike(Fault, frozen=True, kw_only=True, tag="spike"):
    """One trade of the contract `instrument_token` at `price`: it fills what rests there and triggers stops; the market goes on as before."""

    instrument_token: str
    price: float


class ManualOrder(Fault, frozen=True, kw_only=True, tag="manual_order"):
    """The customer trades by hand in the broker's own app: `order` as in a place request; product defaults to I, a market order."""

    order: dict[str, Any]


class ManualCancel(Fault, frozen=True, kw_only=True, tag="manual_cancel"):
    """The customer cancels all his open orders (of `tag`) in the broker's own app."""

    tag_of_order: str | None = None


Request: TypeAlias = (
    DropBeforeCommit
    | DropAfterCommit
    | Delay
    | Hang
    | Answer
    | TooManyRequests
    | Rewrite
    | WrongDate
    | LateAcceptance
    | RejectLater
    | PartialFills
)
Event: TypeAlias = (
    LaggingBook
    | ExpireTokens
    | RefuseAddress
    | FeedSilence
    | FeedClose
    | FeedRefusal
    | MalformedFrame
    | FeedTicks
    | StreamUpdates
    | Spike
    | ManualOrder
    | ManualCancel
)
AnyFault: TypeAlias = Request | Event


class Planned(msgspec.Struct, kw_only=True):
    """A call fault and how many calls it has seen."""

    fault: CallFault
    seen: int = 0

    def strikes(self, operation: str, user: str | None, now: datetime) -> bool:
        fault = self.fault
        if fault.operation not in ("*", operation) or fault.user not in (None, user) or (fault.at is not None and now < fault.at):
            return False
        self.seen += 1
        return fault.nth <= self.seen < fault.nth + fault.times

    @property
    def spent(self) -> bool:
        return self.seen >= self.fault.nth + self.fault.times - 1


def parse(text: str | bytes) -> list[AnyFault]:
    """A list of faults in YAML, of which JSON is a part.

    Raises:
        ValueError: not a list of known faults; the message names the field.
    """
    return convert(yaml.safe_load(text) or [])


def convert(content: object) -> list[AnyFault]:
    faults: Sequence[object] = content if isinstance(content, list) else [content]
    return msgspec.convert(faults, list[AnyFault], strict=False)


def load(path: Path) -> list[AnyFault]:
    return parse(path.read_text(encoding="utf-8"))


def rewrite(answer: Any, fields: Mapping[str, Any]) -> Any:
    """`answer` with the fields at these dotted paths replaced (`*`: every element); None takes the field away."""
    for path, value in fields.items():
        _replace(answer, path.split("."), value)
    return answer


def _replace(node: Any, path: list[str], value: Any) -> None:
    name, rest = path[0], path[1:]
    names = (list(range(len(node))) if isinstance(node, list) else list(node)) if name == "*" else [name]
    for each in names:
        if rest:
            _replace(node[each], rest, value)
        elif value is None:
            del node[each]
        else:
            node[each] = value
