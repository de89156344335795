"""Bearer tokens of an IRI facility, its errors as problem documents, and OLCF's page about a token.

Here: who asks, and with which right. Not here: the calls themselves.
"""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from als_assets.simulator.config import IriFacility
from als_assets.simulator.tokens import Holder, Tokens
from als_assets.simulator.web import Call, Refusal, reply, route


class IriError(Refusal):
    """A problem document (RFC 9457)."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(f"{status} {detail}")
        self.status, self.detail, self.headers = status, detail, headers

    def response(self, path: str) -> Response:
        """The error's answer."""
        return JSONResponse(problem(self.status, self.detail, path), self.status, self.headers, media_type="application/problem+json")


def problem(status: int, detail: str, path: str) -> dict[str, object]:
    """The body of an error."""
    return {"type": "about:blank", "status": status, "title": "Error", "detail": detail, "instance": path}


class IriAuth:
    """The tokens of one facility. Those of the configuration are issued at the first start and then age."""

    def __init__(self, name: str, config: IriFacility, tokens: Tokens) -> None:
        self._name, self._tokens = name, tokens
        for text, token in config.tokens.items():
            if tokens.holder(f"Bearer {text}") is None:
                expires = datetime.now(UTC).timestamp() + token.ttl_s
                facts = {"facility": name, "project": token.project, "compute": token.compute, "expires": expires}
                tokens.issue("iri", token.user, token.ttl_s, text, **facts)

    def routes(self) -> list[BaseRoute]:
        """OLCF's S3M page about the token in the header (which holds it without the word Bearer)."""
        return [route(f"/iri/{self._name}/olcf/v1/token/ctls/introspect", self._introspect)]

    def user(self, call: Call, *, compute: bool = False) -> str:
        """The user behind a request. Raises ``IriError`` 401, and 403 for a token without the right to compute."""
        holder = self._holder(call.authorization)
        if compute and not holder.facts["compute"]:
            raise IriError(403, "The token lacks the compute scope")
        return holder.subject

    def _holder(self, authorization: str | None) -> Holder:
        holder = self._tokens.holder(authorization)
        # NERSC takes the tokens of its Superfacility clients here too.
        facts = holder.facts if holder is not None and holder.service == "iri" else {"facility": self._name, "compute": True}
        known = holder is not None and holder.service in ("iri", "sfapi") and facts["facility"] == self._name
        if holder is None or not known or holder.expired:
            raise IriError(401, "Invalid or expired token")
        return Holder(holder.service, holder.subject, holder.expired, facts)

    def _introspect(self, call: Call) -> Response:
        holder = self._holder(f"Bearer {call.authorization or ''}")
        ends = datetime.fromtimestamp(holder.facts.get("expires", 0.0), UTC).isoformat()
        project = holder.facts.get("project", "")
        return reply({"token": {"username": holder.subject, "project": project, "plannedExpiration": ends, "securityEnclave": "open"}})
