from __future__ import annotations

import json
import logging
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from configs.logging import configure_logging, redact

CANARY = "c4n4ry-S3cr3t_value"


class _Leaky(json.JSONDecoder):
    def decode(self, *_: object) -> None:  # type: ignore[override]
        raise ValueError(f"access_token={CANARY}")


LEAKS = [
    f"redis://:{CANARY}@127.0.0.1:6379/0",
    f"mongodb://user:{CANARY}@host/?authSource=admin",
    f"access_token={CANARY}",
    f"access_token: {CANARY}, next",
    f'{{"access_token": "{CANARY}"}}',
    f"{{'password': '{CANARY}'}}",
    f'{{"data": "{{\\"api_key\\": \\"{CANARY}\\"}}"}}',
    f"client-secret = '{CANARY} with spaces'",
    f"SHOAL_MASTER_SECRET={CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"authorization={CANARY}",
    f"b'password': b'{CANARY}'",
    f"https://api.example/login?apikey={CANARY}&user=1",
]


@pytest.mark.parametrize("text", LEAKS)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    assert "c4n4ry" not in redact(text)
    assert "***" in redact(text)


def test_a_json_web_token_is_hidden_wherever_it_stands() -> None:
    assert redact("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1 today") == "got *** today"


@pytest.mark.parametrize(
    "text", ["user 123 started", "price=100.5 at 09:15:00", "http://127.0.0.1:8000/health", "NSE:BANKNIFTY26NOV52000CE"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.timeout(20)  # a pattern that tries every part of a word would take minutes
@pytest.mark.parametrize("part", ["x", "token", "a:", "eyJ", "http"])
def test_a_long_line_is_read_once(part: str) -> None:
    assert redact(f"{part * 100_000} token=c4n4ry").endswith(" token=***")


@given(st.text(alphabet=st.characters(exclude_characters="\"'\\", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_json_stays_json_whatever_the_secret_is(value: str) -> None:
    line = json.dumps({"outer": json.dumps({"password": value}), "token": value, "n": 1}, ensure_ascii=False)
    assert json.loads(redact(line)) == {"outer": '{"password": "***"}', "token": "***", "n": 1}


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "logs" / "shoal.jsonl"
    configure_logging(file)
    yield file
    logger.remove()
    logging.basicConfig(handlers=[], force=True)
    logger.add(sys.stderr)


def test_neither_message_nor_extra_nor_exception_text_leaks(log_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_file)  # once more, as pytest has only now replaced stderr
    logger.bind(url=f"redis://:{CANARY}@h").info("connecting with password={}", CANARY)
    try:
        try:
            json.loads("{", cls=_Leaky)
        except ValueError as error:
            raise RuntimeError(f"redis://:{CANARY}@h is away") from error
    except RuntimeError:
        logger.exception("failed")
    logging.getLogger("library").warning("Bearer %s", CANARY)

    written, shown = log_file.read_text(), capsys.readouterr().err
    assert "c4n4ry" not in written + shown
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["record"]["message"] for line in lines] == ["connecting with password=***", "failed", "Bearer ***"]
    assert lines[0]["record"]["extra"] == {"url": "redis://***@h"}
    assert "RuntimeError" in shown
    assert "ValueError" in shown


def test_the_log_file_is_for_its_owner_only(log_file: Path) -> None:
    logger.info("hello")
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(log_file.parent.stat().st_mode) == 0o700
