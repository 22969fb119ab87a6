"""The bearer token of one account: it dies every night at about 03:30 IST and comes back only by a person's login."""

from __future__ import annotations

import asyncio

from runtime.errors import SessionExpired

ASK_FOR_LOGIN = (
    "the Upstox session has expired: log in again and hand over the new access token (`shoal credentials rotate`, then "
    "`shoal resume`; or START_TRADING with it)"
)

_SECRET_LENGTH_MIN = 5
"""What is shorter is nobody's name or key at Upstox, and might stand in any word."""


class AccessToken:
    """Known good until a server refuses it; then nothing is sent in its name until `renew`.

    Shared by everything that speaks for one account, so that one refusal silences all of it.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self.customer = ""
        """Whose it is, by the broker's own name for him, once that is known."""
        self._valid = asyncio.Event()
        if token:
            self._valid.set()

    def __repr__(self) -> str:
        return f"AccessToken(valid={self._valid.is_set()})"

    @property
    def is_valid(self) -> bool:
        return self._valid.is_set()

    def bearer(self) -> str:
        """The `Authorization` header. Raises `SessionExpired` without asking the server again."""
        if not self._valid.is_set():
            raise SessionExpired(ASK_FOR_LOGIN)
        return f"Bearer {self._token}"

    def hidden_in(self, answer: bytes) -> bytes:
        """An answer that may repeat the token or the customer's id, without them."""
        for secret in (self._token, self.customer):
            answer = answer.replace(secret.encode(), b"***") if len(secret) >= _SECRET_LENGTH_MIN else answer
        return answer

    def refused(self, bearer: str) -> None:
        """A server refused this header. A refusal of an older token says nothing about the one that replaced it."""
        if bearer == f"Bearer {self._token}":
            self._valid.clear()

    def renew(self, token: str) -> None:
        """The operator's hook: from here on this token is used."""
        self._token = token
        self._valid.set()

    async def renewed(self) -> None:
        """Returns as soon as there is a token to try."""
        await self._valid.wait()
