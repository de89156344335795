"""What all services share of HTTP: a request with its body, a route, a refusal.

Here: reading JSON and form bodies without further dependencies, and running a handler in a thread. Not here: any service's
shapes; each has its own subclass of ``Refusal``.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from als_assets.simulator.store import Doc


class Refusal(Exception):
    """A service says no. Subclasses know their service's shape of an error."""

    def response(self, path: str) -> Response:
        """The answer to a request for ``path``."""
        raise NotImplementedError


class BadBody(ValueError):
    """The body is not what the content type promises."""


@dataclass(frozen=True)
class Call:
    """One request, body included."""

    request: Request
    body: bytes

    @property
    def path(self) -> str:
        """The path, decoded."""
        return self.request.url.path

    @property
    def method(self) -> str:
        """GET, POST, ..."""
        return self.request.method

    @property
    def authorization(self) -> str | None:
        """The Authorization header."""
        return self.request.headers.get("authorization")

    def param(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """One query parameter (the last, when repeated)."""
        return self.request.query_params.get(name, default)

    def queries(self, name: str) -> list[str]:
        """All values of a repeated query parameter."""
        return self.request.query_params.getlist(name)

    def number(self, name: str, default: int) -> int:
        """A query parameter as a number; ``default`` when it is absent or no number."""
        text = self.query(name)
        return int(text) if text.isdigit() else default

    def json(self) -> Doc:
        """The body as a JSON object. Raises ``BadBody``."""
        try:
            body = json.loads(self.body)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BadBody(f"{error} in the request's body") from error
        if not isinstance(body, dict):
            raise BadBody("the body is not a JSON object")
        return body

    def fields(self) -> dict[str, str]:
        """The body as a URL-encoded form (the last value, when repeated)."""
        return dict(self.field_list())

    def field_list(self) -> list[tuple[str, str]]:
        """The body as a URL-encoded form, with repetitions."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def upload(self, name: str) -> bytes:
        """The part ``name`` of a multipart body. Raises ``BadBody``."""
        head = f"Content-Type: {self.request.headers.get('content-type', '')}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        for part in message.iter_parts() if message.is_multipart() else ():
            if part.get_param("name", header="content-disposition") == name:
                content = part.get_payload(decode=True)
                return content if isinstance(content, bytes) else b""
        raise BadBody(f"the multipart body has no part named {name}")


Handler = Callable[[Call], Response]


def route(path: str, handler: Handler, *methods: str) -> Route:
    """A route whose handler runs in a thread, so that it may use files and SQLite."""

    async def endpoint(request: Request) -> Response:
        call = Call(request, await request.body())
        return await run_in_threadpool(handler, call)

    return Route(path, endpoint, methods=list(methods or ("GET",)))


def reply(doc: Any, status: int = 200) -> JSONResponse:
    """A JSON answer."""
    return JSONResponse(doc, status)
