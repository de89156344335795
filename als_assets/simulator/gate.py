"""The gate in front of all services: every request is written down, and http faults strike here.

Here: the request log, delays, answers given instead of the service's, and connections that are dropped. Not here: the services
behind it; the control plane passes untouched.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from als_assets.simulator.faults import FaultBook, LiveRule
from als_assets.simulator.globus.auth import basic_credentials, request_id
from als_assets.simulator.iri.auth import problem
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.tokens import Tokens

REQUESTS = "request"
_KEPT_REQUESTS = 20_000
_SHOWN_BYTES = 256 * 1024
_SECRET = re.compile(r"password|secret|assertion|token$", re.IGNORECASE)
_SLICE_S = 0.05


class Gate:
    """ASGI middleware. Transports are found in ``scope["state"]["transport"]``, where the server's protocol puts them."""

    def __init__(self, app: ASGIApp, store: Store, faults: FaultBook, tokens: Tokens) -> None:
        self._app, self._store, self._faults, self._tokens = app, store, faults, tokens
        self._seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Log, strike, pass on."""
        if scope["type"] != "http" or scope["path"].startswith("/_sim/"):
            return await self._app(scope, receive, send)
        scope = _folded(scope)
        body = await _read(receive)
        rule = await run_in_threadpool(self._note, scope, body)
        if rule is not None:
            return await self._strike(rule, scope, body, receive, send)
        return await self._app(scope, _replay(body, receive), send)

    def _note(self, scope: Scope, body: bytes) -> LiveRule | None:
        """Write the request down and look for a fault."""
        headers = Headers(scope=scope)
        shown = _summary(headers.get("content-type", ""), body)
        entry = {
            "time": time.time(),
            "method": scope["method"],
            "path": scope["path"],
            "query": re.sub(r"(access_token=)[^&]*", r"\1...", scope["query_string"].decode("latin-1")),
            "client": self._client(headers.get("authorization"), shown),
            "body": shown,
        }
        self._store.append(REQUESTS, "", entry)
        self._seen += 1
        if self._seen % 1000 == 0:
            self._store.trim(REQUESTS, "", _KEPT_REQUESTS)
        facts = {"method": scope["method"], "path": scope["path"]}
        return self._faults.take("http", **facts) or self._faults.take("scicat", **facts)

    def _client(self, authorization: str | None, shown: Any) -> str | None:
        holder = self._tokens.holder(authorization)
        if holder is not None:
            return holder.subject
        if credentials := basic_credentials(authorization):
            return credentials[0]
        named = shown if isinstance(shown, dict) else {}
        return named.get("client_id") or named.get("username")

    async def _strike(self, rule: LiveRule, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        until = time.monotonic() + rule.delay_s
        while time.monotonic() < until and self._faults.in_force(rule.id):
            await asyncio.sleep(_SLICE_S)
        if rule.status is None:
            return await self._app(scope, _replay(body, receive), send)
        if rule.after:
            await self._app(scope, _replay(body, receive), _swallow)
        if rule.status == "drop":
            return await _drop(scope, receive)
        return await _answer(rule, rule.status, scope["path"])(scope, receive, send)


def _folded(scope: Scope) -> Scope:
    """SciCat's paths: a %2F stays part of its segment, and the case of the first segment does not matter (as in express)."""
    raw = scope["raw_path"].split(b"?")[0].decode("latin-1")
    parts = raw.split("/")
    if parts[1:3] not in (["api", "v3"], ["api", "v4"]) or len(parts) < 4:
        return scope
    parts[3] = parts[3].lower()
    return {**scope, "path": "/".join(parts)}


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


async def _swallow(message: Message) -> None:
    """The answer that gets lost."""


async def _drop(scope: Scope, receive: Receive) -> None:
    transport: asyncio.Transport = scope["state"]["transport"]
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def _answer(rule: LiveRule, status: int, path: str) -> Response:
    if isinstance(rule.body, str):
        return Response(rule.body, status, headers={"content-type": "text/plain", **rule.headers})
    return JSONResponse(_default_body(rule, status, path) if rule.body is None else rule.body, status, headers=rule.headers)


def _default_body(rule: LiveRule, status: int, path: str) -> Doc:
    """An error in the shape of the service to which the path belongs."""
    message = rule.message or "injected fault"
    if path.startswith("/v0.10/"):
        return {"code": rule.code or "InternalError", "message": message, "request_id": request_id(), "resource": path}
    if path.startswith(("/v2/", "/v3/")) and not path.startswith("/v2/oauth2/"):
        return {"status": "Failed", "code": rule.code or "INTERNAL", "error_args": [], "reason": message, "http_status_code": status}
    if path.startswith(("/v2/", "/c2id/")):
        return {"error": rule.code or "server_error", "error_description": message}
    if path.startswith("/api/v1.2/"):
        return {"detail": message}
    if path.startswith("/iri/"):
        return problem(status, message, path)
    return {"message": message, "statusCode": status}


def _summary(content_type: str, body: bytes) -> Any:
    """What the log shows of a body: JSON and forms without their secrets, the size of anything else."""
    if not body:
        return None
    if len(body) <= _SHOWN_BYTES and content_type.startswith("application/json"):
        try:
            return _without_secrets(json.loads(body))
        except ValueError:
            return {"bytes": len(body)}
    if len(body) <= _SHOWN_BYTES and content_type.startswith("application/x-www-form-urlencoded"):
        return _without_secrets(dict(parse_qsl(body.decode("utf-8", "replace"))))
    return {"bytes": len(body)}


def _without_secrets(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: "..." if _SECRET.search(str(key)) and isinstance(held, str) else held for key, held in value.items()}
