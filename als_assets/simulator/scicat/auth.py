"""SciCat's login, and the principal behind a token with its rights.

Here: local accounts, tokens in the shape of a JWT, what each group may do, and the two ways to treat an expired token. Not here:
other login methods.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import ScicatConfig
from als_assets.simulator.store import Doc
from als_assets.simulator.tokens import Tokens
from als_assets.simulator.web import Call, Refusal, reply, route

_WORDS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 412: "Precondition Failed"}


class ScicatError(Refusal):
    """An error in the backend's usual shape; ``message`` is a sentence or a list of them."""

    def __init__(self, status: int, message: str | list[str]) -> None:
        super().__init__(f"{status} {message}")
        self.status, self.message = status, message

    def response(self, path: str) -> Response:
        """``{message, error, statusCode}``; a bare 401 or 404 has no ``error``."""
        word = {} if self.message in ("Unauthorized", "Not Found") else {"error": _WORDS[self.status]}
        return JSONResponse({"message": self.message, **word, "statusCode": self.status}, self.status)


class RawError(Refusal):
    """An error whose body is something else: 500 with ``{}`` or a bare string, v3's 400 with JSON in a string."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body

    def response(self, path: str) -> Response:
        """The body as it is."""
        return JSONResponse(self.body, self.status)


@dataclass(frozen=True)
class Principal:
    """Who asks. ``name`` None is the anonymous guest, who sees only published records."""

    name: str | None
    groups: frozenset[str]
    admin: bool
    creator: bool
    lifecycle: bool
    deleter: bool
    pictures: bool

    def can_read(self, record: Doc) -> bool:
        """Owner group, access groups, published, or an admin or archive manager, who sees everything."""
        groups = {record.get("ownerGroup"), *(record.get("accessGroups") or [])}
        return self.admin or self.lifecycle or bool(record.get("isPublished")) or bool(self.groups & groups)

    def owns(self, record: Doc) -> bool:
        """Owner group or admin."""
        return self.admin or record.get("ownerGroup") in self.groups


_GUEST = Principal(None, frozenset(), False, False, False, False, False)


class ScicatAuth:
    """Login and the principal of a request."""

    def __init__(self, config: ScicatConfig, tokens: Tokens) -> None:
        self._config, self._tokens = config, tokens

    def routes(self) -> list[BaseRoute]:
        """Login, the old login that answers nothing, and who am I."""
        return [
            route("/api/v3/auth/login", self._login, "POST"),
            route("/api/v3/users/login", self._old_login, "POST"),
            route("/api/v3/users/my/self", self._self),
            route("/api/v3/users/my/identity", self._identity),
            route("/api/v3/health", _health),
        ]

    def principal(self, call: Call, *, writing: bool = False) -> Principal:
        """Who asks.

        Raises:
            ScicatError: 401 or 403 for an expired token. Backend 4.27 takes it for a guest's when only reading; a token that it
                never issued is a guest's on every version.
        """
        holder = self._tokens.holder(call.authorization)
        if holder is None or holder.service != "scicat":
            return _GUEST
        if holder.expired and self._config.personality != "4.27":
            raise ScicatError(401, "SESSION_EXPIRED")
        if holder.expired and writing:
            raise ScicatError(403, "Forbidden resource")
        return _GUEST if holder.expired else self._of(holder.subject)

    def _of(self, name: str) -> Principal:
        user = self._config.users.get(name)
        if user is None:
            return _GUEST
        groups = frozenset(user.groups)
        return Principal(
            name,
            groups,
            user.admin,
            creator=user.admin or bool(groups & set(self._config.create_groups)),
            lifecycle=user.admin or bool(groups & set(self._config.lifecycle_groups)),
            # Not even an admin may delete without the group.
            deleter=bool(groups & set(self._config.delete_groups)),
            pictures=user.admin or bool(groups & set(self._config.picture_groups)),
        )

    # --- endpoints -----------------------------------------------------------------------------------------------------

    def _login(self, call: Call) -> Response:
        body = call.json()
        name, ttl_s = str(body.get("username")), self._config.token_ttl_s
        user = self._config.users.get(name)
        if user is None or not secrets.compare_digest(user.password.encode(), str(body.get("password")).encode()):
            raise ScicatError(401, "Unauthorized")
        token = self._tokens.issue("scicat", name, ttl_s, token=_jwt(name, ttl_s))
        person = {**_person(name), "id": name}
        lasts = {"expires_in": int(ttl_s), "ttl": int(ttl_s), "created": clock.iso_millis(), "userId": name}
        return reply({"access_token": token, "id": token, **lasts, "user": person}, 201)

    def _old_login(self, call: Call) -> Response:
        return Response(status_code=201)

    def _self(self, call: Call) -> Response:
        principal = self.principal(call)
        if principal.name is None:
            raise ScicatError(401, "Unauthenticated")
        return reply({**_person(principal.name), "id": principal.name})

    def _identity(self, call: Call) -> Response:
        principal = self.principal(call)
        if principal.name is None:
            raise ScicatError(401, "Unauthenticated")
        profile = {"username": principal.name, "accessGroups": sorted(principal.groups)}
        return reply({"authStrategy": "local", "userId": principal.name, "profile": profile})


def _health(call: Call) -> Response:
    return reply({"status": "ok"})


def _person(name: str) -> Doc:
    return {"_id": name, "username": name, "email": f"{name}@example.org", "authStrategy": "local"}


def _jwt(name: str, ttl_s: float) -> str:
    claims = {"username": name, "iat": int(time.time()), "exp": int(time.time() + ttl_s), "jti": secrets.token_hex(8)}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, claims)]
    return b".".join([*parts, secrets.token_urlsafe(32).encode()]).decode()
