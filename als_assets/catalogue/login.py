"""The login to SciCat: a token that is renewed before it expires and is shown to nobody.

Here: getting, keeping and forgetting the token of one account. Not here: what is done with it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx

from als_assets.catalogue.answers import refusal, words
from als_assets.catalogue.settings import CatalogueSettings
from als_assets.errors import CredentialsRejected, ServiceUnreachable

_DEFAULT_TTL_S = 3600.0
_MARGIN_SHARE = 0.1
_MAX_MARGIN_S = 60.0


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float


class Login:
    """The token of one account, fetched when it is first needed and shared by all threads."""

    def __init__(self, settings: CatalogueSettings, http: httpx.Client) -> None:
        self._settings = settings
        self._http = http
        self._token: _Token | None = None
        self._secrets: tuple[str, ...] = ()
        self._count = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Login({self._settings.username!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text: the password and the tokens of this session."""
        return self._secrets

    @property
    def count(self) -> int:
        """How often this account has logged in."""
        return self._count

    def header(self) -> dict[str, str]:
        """The header that says who we are.

        Raises CredentialsRejected, ServiceUnreachable, and httpx.HTTPError where nobody answers in time.
        """
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.renew_at:
                self._token = self._fetch()
            return {"Authorization": f"Bearer {self._token.text}"}

    def forget(self) -> None:
        """The token was refused: the next request logs in again."""
        with self._lock:
            self._token = None

    def _fetch(self) -> _Token:
        password = self._settings.password_provider()
        self._secrets = (password,)
        started = time.monotonic()
        response = self._http.post(
            f"{self._settings.api('v3')}/auth/login", json={"username": self._settings.username, "password": password}
        )
        action = f"log in {self._settings.username}"
        if response.status_code in (400, 401, 403):
            raise CredentialsRejected(
                f"SciCat would not {action}: {words(response, self._secrets)} ({response.status_code})",
                next_step="Check the user name and the password of the catalogue's account",
            )
        if not response.is_success:
            # Raised as a transport error, so that the caller's retries hold for the login too.
            raise httpx.RemoteProtocolError(str(refusal(response, action, creating=False, secrets=self._secrets)))
        answer = response.json() if response.content else {}
        text = str(answer.get("access_token") or answer.get("id") or "")
        if not text:
            raise ServiceUnreachable(
                f"SciCat answered the request to {action} without a token",
                next_step="Check that the configured address is SciCat's API (…/api/v3)",
            )
        self._secrets = (password, text)
        self._count += 1
        ttl_s = float(answer.get("expires_in") or _DEFAULT_TTL_S)
        return _Token(text, started + ttl_s - min(_MAX_MARGIN_S, ttl_s * _MARGIN_SHARE))
