"""One user who is started, paused, resumed and stopped all day, with every command sent once or more; and what must come of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from runtime.events import EventType, PublicEvent
from tests.faults.outside import Outside
from tests.faults.traders import GUARDED

COMMANDED = "commanded"
_DATA = {**GUARDED, "placement": "dedicated"}

# What each accepted command makes of the session; a command missing for a status is refused as not running.
_STEPS: Mapping[tuple[str, str], str] = {
    ("STOPPED", "START_TRADING"): "RUNNING",
    **{(status, "START_TRADING"): "RUNNING" for status in ("RUNNING", "PAUSED")},
    **{(status, "STOP_TRADING"): "STOPPED" for status in ("RUNNING", "PAUSED")},
    **{(status, "PAUSE_TRADING"): "PAUSED" for status in ("RUNNING", "PAUSED")},
    **{(status, "RESUME_TRADING"): "RUNNING" for status in ("RUNNING", "PAUSED")},
}
_SAID = {"STOP_TRADING": EventType.SESSION_STOPPED, "PAUSE_TRADING": EventType.SESSION_PAUSED, "RESUME_TRADING": EventType.SESSION_RESUMED}
_ACTIONS = ("START_TRADING", "STOP_TRADING", "PAUSE_TRADING", "RESUME_TRADING")


class Sent(NamedTuple):
    command_id: str
    action: str
    is_accepted: bool


class Commander:
    """Its own model of a session says what each command must be answered."""

    def __init__(self, outside: Outside, seed: int) -> None:
        self._outside = outside
        self._random = random.Random(seed)
        self._status = "STOPPED"
        self._events: Counter[EventType] = Counter()
        self.sent: list[Sent] = []

    def start(self) -> None:
        self._send("START_TRADING", _DATA)

    def send(self, commands: int = 3) -> None:
        """By the stream, which must not lose any."""
        for _ in range(commands):
            action = self._random.choice(_ACTIONS)
            self._send(action, _DATA if action == "START_TRADING" else {}, times=self._random.choice((1, 1, 2, 3)))

    def stop(self) -> None:
        """Nothing is left of this user after it."""
        self._send("STOP_TRADING", {"positions": "close"})

    def _send(self, action: str, data: Mapping[str, object], *, times: int = 1) -> None:
        command_id = f"{COMMANDED}-{len(self.sent)}"
        for _ in range(times):
            self._outside.send(action, COMMANDED, data, command_id=command_id)
        after = _STEPS.get((self._status, action))
        self.sent.append(Sent(command_id, action, after is not None))
        if after is None:
            return
        if action == "START_TRADING":
            self._events[EventType.SESSION_STARTED] += self._status == "STOPPED"
        else:
            self._events[_SAID[action]] += 1
        self._status = after

    @property
    def answered(self) -> bool:
        return all(sent.command_id in self._outside.answers for sent in self.sent)

    def violations(self) -> list[str]:
        """Commands not answered as the model says, answered twice as news, out of order, or with another effect than once."""
        wrong: list[str] = []
        for sent in self.sent:
            answers = self._outside.answers.get(sent.command_id, [])
            first = [answer for answer in answers if not answer.data.get("repeated")]
            if len(first) != 1:
                wrong.append(f"{sent}: {len(first)} first answers of {len(answers)}")
            elif any(_accepted(answer) != sent.is_accepted for answer in answers):
                wrong.append(f"{sent}: {[answer.type for answer in answers]}")
        firsts = [answer for sent in self.sent for answer in self._outside.answers.get(sent.command_id, [])[:1]]
        if firsts != sorted(firsts, key=lambda answer: answer.seq):
            wrong.append("answers came in another order than the commands were sent")
        said = Counter(event.type for event in self._outside.of(COMMANDED))
        return wrong + [f"{name}: {said[name]} times, not {times}" for name, times in self._events.items() if said[name] != times]


def _accepted(answer: PublicEvent) -> bool:
    return answer.type is EventType.COMMAND_ACCEPTED
