"""Bearer tokens of the three services: who holds one, and until when.

Here: issuing, checking and expiring; only a digest of a token is kept. Not here: how a client proves who it is, which each
service does in its own ``auth`` module.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

from als_assets.simulator.store import Store

_KIND = "token"


@dataclass(frozen=True)
class Holder:
    """Who presented a token. ``service`` is globus, sfapi or scicat; ``subject`` is a client id or a user name."""

    service: str
    subject: str
    expired: bool
    facts: dict[str, Any]


class Tokens:
    """All tokens of one simulator, kept across restarts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def issue(self, service: str, subject: str, ttl_s: float, token: str | None = None, **facts: Any) -> str:
        """A new token (or ``token``, for services that shape it themselves), valid for ``ttl_s`` seconds."""
        text = token or secrets.token_urlsafe(32)
        doc = {"service": service, "subject": subject, "expires": time.time() + ttl_s, "facts": facts}
        self._store.put(_KIND, _digest(text), doc)
        return text

    def holder(self, authorization: str | None) -> Holder | None:
        """Who holds the token in an Authorization header; None without a header or for a token never issued."""
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        doc = self._store.get(_KIND, _digest(text.strip()))
        if doc is None:
            return None
        return Holder(doc["service"], doc["subject"], doc["expires"] <= time.time(), doc["facts"])

    def revoke(self, token: str) -> None:
        """Forget one token."""
        self._store.drop(_KIND, _digest(token))

    def expire(self, service: str | None = None) -> None:
        """Let all tokens (of one service) run out now; the next request with one of them is refused."""
        with self._store.transaction():
            for key, doc in self._store.items(_KIND):
                if service in (None, doc["service"]):
                    self._store.update(_KIND, key, expires=0.0)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
