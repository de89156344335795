"""Bearer tokens for the IRI API: from a file that a person renews, or for a registered client with a key.

Here: where a token comes from, and until when it is good as far as it says so itself. Not here: asking the site about it
(``iri``). Sources: RFC 7523 (client assertions, as NERSC wants them) and RFC 7519 (the 'exp' claim).
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from als_assets.compute.private_key import private_key
from als_assets.errors import CredentialsRejected, ServiceUnreachable
from als_assets.facility.identities import SfapiIdentity, TokenIdentity

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MARGIN_S = 60.0


class TokenSource(Protocol):
    """Where tokens come from. ``where`` names the credential for staff."""

    where: str

    def read(self, *, renew: bool) -> str:
        """A token; with ``renew`` a fresh one, because the last one was refused. Raises SecretUnavailable, ServiceUnreachable,
        CredentialsRejected."""
        ...


class FileToken:
    """A token in a file or variable, read again for every request."""

    def __init__(self, identity: TokenIdentity) -> None:
        self._token = identity.token
        self.where = f"token in {identity.token}"

    def read(self, *, renew: bool) -> str:
        return self._token.read()


class ClientToken:
    """Tokens of a client that proves itself with its private key. Id and key are read again for every new token."""

    def __init__(self, identity: SfapiIdentity, token_url: str) -> None:
        self._identity, self._url = identity, token_url
        self._token, self._until = "", 0.0
        self.where = f"API client in {identity.client_id}"

    def read(self, *, renew: bool) -> str:
        if renew or time.monotonic() > self._until:
            answer = self._ask()
            self._token = str(answer["access_token"])
            self._until = time.monotonic() + float(answer.get("expires_in", 300)) - _MARGIN_S
        return self._token

    def _ask(self) -> Mapping[str, Any]:
        client, now = self._identity.client_id.read(), int(time.time())
        claims = {"iss": client, "sub": client, "aud": self._url, "iat": now, "exp": now + 300, "jti": uuid.uuid4().hex}
        assertion = jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(private_key(self._identity.key)))
        form = {"grant_type": "client_credentials", "client_assertion_type": _ASSERTION, "client_assertion": assertion}
        try:
            answer = httpx.post(self._url, data=form, timeout=30.0)
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _no_token(self._url, type(error).__name__) from error
        if isinstance(document, dict) and answer.is_success and document.get("access_token"):
            return document
        if answer.status_code in (400, 401, 403):
            word = document.get("error") if isinstance(document, dict) else answer.status_code
            raise CredentialsRejected(
                f"{self._url} refused the {self.where} ('{word}').", next_step="Renew the client, replace its files, then try again."
            )
        raise _no_token(self._url, str(answer.status_code))


def _no_token(url: str, words: str) -> ServiceUnreachable:
    return ServiceUnreachable(f"{url} gave no token ({words}).", next_step="It is tried again by itself.")


def expiry_in(token: str) -> datetime | None:
    """When a token ends by its own 'exp' claim (UTC); None for one that does not say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, ValueError, KeyError, TypeError, OverflowError):
        return None
