"""Globus Auth: tokens for client identities (client credentials).

Here: the token endpoint, introspection, revocation, and who the bearer of a Transfer token is. Not here: people's logins; there
is no browser page, and a grant for people is refused as the real service refuses a wrong grant.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from als_assets.simulator.config import GlobusConfig
from als_assets.simulator.store import Store
from als_assets.simulator.tokens import Holder, Tokens
from als_assets.simulator.web import Call, Refusal, reply, route

TRANSFER, COMPUTE = "transfer.api.globus.org", "funcx_service"
_COMPUTE_CLIENT = "facd7ccc-c5f4-42aa-916b-a0e270e2c2a9"
_CONSENTS = "globus_consent"
_DATA_ACCESS = re.compile(r"https://auth\.globus\.org/scopes/([0-9a-fA-F-]{36})/data_access")


class GlobusError(Refusal):
    """An error of Globus Transfer: ``code`` and ``message`` as the service writes them."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.more = status, code, message, more

    def response(self, path: str) -> Response:
        """``{code, message, request_id, resource}`` and what the code adds."""
        doc = {"code": self.code, "message": self.message, "request_id": request_id(), "resource": path, **self.more}
        return JSONResponse(doc, self.status)


class OAuthError(Refusal):
    """An error of the token endpoint, in OAuth's shape."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status} {error}")
        self.status, self.error = status, error

    def response(self, path: str) -> Response:
        """``{error}``."""
        return JSONResponse({"error": self.error}, self.status)


def request_id() -> str:
    """Nine characters, as in the real answers."""
    return secrets.token_urlsafe(9)[:9]


class GlobusAuth:
    """The token endpoint, and the identity behind a token."""

    def __init__(self, config: GlobusConfig, store: Store, tokens: Tokens) -> None:
        self._config, self._store, self._tokens = config, store, tokens

    def routes(self) -> list[BaseRoute]:
        """The routes below /v2/oauth2."""
        return [
            route("/v2/oauth2/token", self._token, "POST"),
            route("/v2/oauth2/token/introspect", self._introspect, "POST"),
            route("/v2/oauth2/token/revoke", self._revoke, "POST"),
        ]

    def client(self, call: Call, server: str = TRANSFER) -> str:
        """The client id behind a request to Transfer, or to another resource server.

        Raises:
            GlobusError: 401 for no token, an unknown one or an expired one; 403 for one of another service.
        """
        holder = self._tokens.holder(call.authorization)
        if holder is None or holder.expired:
            raise GlobusError(401, "AuthenticationFailed", "Token is not active")
        if holder.service != "globus" or holder.facts.get("resource_server") != server:
            raise GlobusError(403, "PermissionDenied", f"The token was not issued for {server}")
        return holder.subject

    def require_data_access(self, client: str, collection_id: str) -> None:
        """Mapped collections want a consent, which a client gives itself by asking for a token with that scope.

        Raises:
            GlobusError: 403 ConsentRequired, with ``required_scopes``.
        """
        collection = self._config.collections.get(collection_id)
        if collection is None or collection.entity_type != "GCSv5_mapped_collection":
            return
        if self._store.get(_CONSENTS, f"{client} {collection_id}") is None:
            scope = f"urn:globus:auth:scope:{TRANSFER}:all[*https://auth.globus.org/scopes/{collection_id}/data_access]"
            raise GlobusError(403, "ConsentRequired", "Missing required data_access consent", required_scopes=[scope])

    # --- endpoints -----------------------------------------------------------------------------------------------------

    def _token(self, call: Call) -> Response:
        form = call.fields()
        client = self._authenticate(call, form)
        if form.get("grant_type") != "client_credentials":
            raise OAuthError(400, "unsupported_grant_type")
        by_server: dict[str, list[str]] = {}
        for scope in _split_scopes(form.get("scope", "")):
            by_server.setdefault(_resource_server(scope), []).append(scope.split("[")[0].lstrip("*"))
            self._consent(client, scope)
        if not by_server:
            raise OAuthError(400, "invalid_scope")
        ttl_s = self._config.token_ttl_s
        documents = [
            {
                "access_token": self._tokens.issue("globus", client, ttl_s, resource_server=server, scopes=scopes),
                "scope": " ".join(scopes),
                "expires_in": ttl_s,
                "token_type": "Bearer",
                "resource_server": server,
            }
            for server, scopes in by_server.items()
        ]
        return reply({**documents[0], "other_tokens": documents[1:]})

    def _consent(self, client: str, scope: str) -> None:
        for collection_id in _DATA_ACCESS.findall(scope):
            collection = self._config.collections.get(collection_id)
            # Guest collections have no such scope: asking for it is an error there, as at the real service.
            if collection is None or collection.entity_type != "GCSv5_mapped_collection":
                raise OAuthError(400, "unknown_scope")
            self._store.put(_CONSENTS, f"{client} {collection_id}", {})

    def _introspect(self, call: Call) -> Response:
        form = call.fields()
        self._authenticate(call, form)
        holder: Holder | None = self._tokens.holder(f"Bearer {form.get('token', '')}")
        if holder is None or holder.expired or holder.service != "globus":
            return reply({"active": False})
        scope = " ".join(holder.facts["scopes"])
        names = {"sub": holder.subject, "client_id": holder.subject, "username": f"{holder.subject}@clients.auth.globus.org"}
        return reply({"active": True, "scope": scope, "token_type": "Bearer", **names})

    def _revoke(self, call: Call) -> Response:
        form = call.fields()
        self._authenticate(call, form)
        self._tokens.revoke(form.get("token", ""))
        return reply({"active": False})

    def _authenticate(self, call: Call, form: dict[str, str]) -> str:
        client, secret = basic_credentials(call.authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        known = self._config.clients.get(client)
        if known is None or not secrets.compare_digest(known.encode(), secret.encode()):
            raise OAuthError(401, "invalid_client")
        return client


def basic_credentials(header: str | None) -> tuple[str, str] | None:
    """Client id and secret of a Basic Authorization header; None for any other header."""
    scheme, _, text = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _split_scopes(text: str) -> list[str]:
    """Scopes are separated by blanks, but dependencies in square brackets may hold blanks too."""
    scopes, depth, word = [], 0, ""
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == " " and depth == 0:
            scopes.append(word)
            word = ""
        else:
            word += character
    return [scope for scope in [*scopes, word] if scope]


def _resource_server(scope: str) -> str:
    name = scope.split("[")[0]
    if _COMPUTE_CLIENT in name:
        return COMPUTE
    return TRANSFER if TRANSFER in name else "auth.globus.org"
