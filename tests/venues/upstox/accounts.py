"""Customers of the venue: their tokens, addresses and switches."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from runtime.market import IST
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.settings import AccountSettings, StaticAddresses, VenueSettings

SEGMENTS = ("BSE_EQ", "NSE_EQ", "NCD_FO", "BCD_FO", "NSE_FO", "BSE_FO", "MCX_FO", "NSE_COM")
_YEAR = timedelta(days=365)
COOLING = timedelta(hours=12)


class TokenKind(StrEnum):
    ACCESS = "access"
    EXTENDED = "extended"
    ANALYTICS = "analytics"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    kind: TokenKind
    expires_at: datetime


class Account:
    """One customer's standing at the venue; orders and positions are kept elsewhere. `cash` is what he had this morning."""

    def __init__(self, settings: AccountSettings) -> None:
        self.settings = settings
        self.user_id = settings.user_id
        self.client_id = settings.client_id or f"client-{settings.user_id}"
        self.client_secret = settings.client_secret or _derived(settings.user_id, "secret", "0")
        self.addresses = settings.static_addresses
        self.login_code = _derived(settings.user_id, "code", "0")[:6]
        self.cash = settings.funds
        self.switched_off: dict[str, datetime] = {}
        self.logins = 0

    def may_order_from(self, address: str) -> bool:
        allowed = {self.addresses.primary, self.addresses.secondary} - {None}
        return not allowed or address in allowed


class Accounts:
    """All customers and all tokens that were ever handed out."""

    def __init__(self, settings: VenueSettings, now: datetime) -> None:
        self._settings = settings
        self._tokens: dict[str, Token] = {}
        self.by_id: dict[str, Account] = {}
        for account in settings.accounts:
            self.add(account, now)

    def add(self, settings: AccountSettings, now: datetime) -> Account:
        """A new customer, already logged in for the day."""
        account = self.by_id[settings.user_id] = Account(settings)
        self._tokens[settings.extended_token or _derived(account.user_id, "extended", "0")] = Token(
            account=account, kind=TokenKind.EXTENDED, expires_at=now + _YEAR
        )
        self._tokens[settings.analytics_token or _derived(account.user_id, "analytics", "0")] = Token(
            account=account, kind=TokenKind.ANALYTICS, expires_at=now + _YEAR
        )
        self.log_in(account, now, settings.access_token)
        return account

    def log_in(self, account: Account, now: datetime, token: str = "") -> str:
        """A fresh access token, good until the next morning's expiry; the tokens of before stay good as long."""
        account.logins += 1
        issued = token or _derived(account.user_id, "access", str(account.logins))
        local = now.astimezone(IST)
        expires = datetime.combine(local.date(), self._settings.token_expiry, IST)
        if expires <= local:
            expires = datetime.combine(local.date() + timedelta(days=1), self._settings.token_expiry, IST)
        self._tokens[issued] = Token(account=account, kind=TokenKind.ACCESS, expires_at=expires)
        return issued

    def tokens(self, account: Account, kind: TokenKind, now: datetime) -> list[str]:
        """Those that are good now, newest last."""
        return [text for text, token in self._tokens.items() if token.account is account and token.kind is kind and now < token.expires_at]

    def end_tokens(self, account: Account | None, now: datetime, kinds: tuple[TokenKind, ...] = (TokenKind.ACCESS,)) -> None:
        """Log out: one customer, or everybody."""
        for text, token in self._tokens.items():
            if token.kind in kinds and (account is None or token.account is account):
                self._tokens[text] = msgspec.structs.replace(token, expires_at=min(token.expires_at, now))

    def check(self, authorization: str | None, now: datetime) -> Token:
        """Raises ApiError 401 where the header holds no token that is good now."""
        scheme, _, text = (authorization or "").partition(" ")
        token = self._tokens.get(text.strip())
        if scheme != "Bearer" or token is None or now >= token.expires_at:
            raise refusal("UDAPI100050")
        return token

    def of_client(self, client_id: str) -> Account | None:
        return next((account for account in self.by_id.values() if account.client_id == client_id), None)

    def change_addresses(self, account: Account, addresses: StaticAddresses, now: datetime) -> None:
        """As documented, a change of address ends the access tokens."""
        account.addresses = addresses
        self.end_tokens(account, now)


def _derived(*parts: str) -> str:
    return hashlib.blake2s("/".join(parts).encode(), digest_size=20).hexdigest()
