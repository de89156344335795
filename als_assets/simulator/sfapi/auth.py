"""NERSC's token endpoint: client credentials proven by a signed assertion, and the check of bearer tokens.

Here: the RS256 client assertion (RFC 7523) against the public keys of the configuration. Not here: what a client may do; every
client may do everything.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from als_assets.simulator.config import SfapiConfig
from als_assets.simulator.tokens import Tokens
from als_assets.simulator.web import Call, Refusal, reply, route

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class SfapiError(Refusal):
    """An error of the API itself (not of a command behind it): ``{"detail": ...}``."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status} {detail}")
        self.status, self.detail = status, detail

    def response(self, path: str) -> Response:
        """The error's answer."""
        return JSONResponse({"detail": self.detail}, self.status)


class _InvalidClient(Refusal):
    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description

    def response(self, path: str) -> Response:
        return JSONResponse({"error": "invalid_client", "error_description": self.description}, 401)


class SfapiAuth:
    """The token endpoint, and the client behind a token."""

    def __init__(self, config: SfapiConfig, tokens: Tokens) -> None:
        self._config, self._tokens = config, tokens

    def routes(self) -> list[BaseRoute]:
        """The token endpoint."""
        return [route("/c2id/token", self._token, "POST")]

    def client(self, call: Call) -> str:
        """The client id behind a request. Raises ``SfapiError`` 401 without a token, 403 for a bad or an expired one."""
        if call.authorization is None:
            raise SfapiError(401, "Not authenticated")
        holder = self._tokens.holder(call.authorization)
        if holder is None or holder.service != "sfapi" or holder.expired:
            raise SfapiError(403, "Could not validate credentials: the token is invalid or expired")
        return holder.subject

    def _token(self, call: Call) -> Response:
        form = call.fields()
        if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != _ASSERTION_TYPE:
            return reply({"error": "unsupported_grant_type"}, 400)
        client = self._verify(form.get("client_assertion", ""), str(call.request.url.replace(query="")))
        ttl_s = self._config.token_ttl_s
        return reply({"access_token": self._tokens.issue("sfapi", client, ttl_s), "token_type": "Bearer", "expires_in": int(ttl_s)})

    def _verify(self, assertion: str, audience: str) -> str:
        """The client id that the assertion proves. Raises ``_InvalidClient``."""
        client = _issuer(assertion)
        key = self._config.clients.get(client)
        if key is None:
            raise _InvalidClient("unknown client")
        try:
            claims: dict[str, Any] = jwt.decode(assertion, RSAKey.import_key(key), algorithms=["RS256"]).claims
        except (JoseError, ValueError) as error:
            raise _InvalidClient("the assertion's signature does not fit the client's key") from error
        if claims.get("sub") != client or claims.get("aud") not in (audience, [audience]):
            raise _InvalidClient(f"the assertion must name the client as subject and {audience} as audience")
        if float(claims.get("exp", 0)) <= time.time():
            raise _InvalidClient("the assertion has expired")
        return client


def _issuer(assertion: str) -> str:
    """The client that an assertion claims to be from, before its signature is checked."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
    except (IndexError, binascii.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _InvalidClient("the assertion is no signed token") from error
    return str(claims.get("iss")) if isinstance(claims, dict) else ""
