"""Requests to an IRI API: authorised, sent once, and every answer that says nothing about the job told as an outage.

Here: HTTP and the API's errors (problem documents, RFC 9457). Not here: what the calls mean (``transport``, ``files``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from als_assets.compute.iri.tokens import TokenSource
from als_assets.errors import CredentialsRejected, ServiceUnreachable
from als_assets.facility.compute import IriCompute

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)

Params = Mapping[str, str | int | bool]


@dataclass(frozen=True)
class Answer:
    """An answer that means something: a success, or one of the refusals that the caller asked to see."""

    status: int
    body: Any
    words: str

    @property
    def ok(self) -> bool:
        return self.status < 400


class IriApi:
    """One site's API in one version."""

    def __init__(self, setup: IriCompute, tokens: TokenSource, title: str) -> None:
        self.version, self.title, self.tokens = setup.version, title, tokens
        self._http = httpx.Client(base_url=f"{setup.api_url}/{setup.version}/", timeout=_TIMEOUT)

    def get(self, path: str, params: Params | None = None, *, refusals: tuple[int, ...] = ()) -> Answer:
        return self.send("GET", path, params=params, refusals=refusals)

    def send(
        self,
        method: str,
        path: str,
        *,
        refusals: tuple[int, ...] = (),
        headers: Mapping[str, str] | None = None,
        params: Params | None = None,
        json: Any = None,
    ) -> Answer:
        """One request, never repeated, except once with a fresh token when the token was refused.

        ``refusals`` are statuses that mean something to the caller. Raises ServiceUnreachable for every other error, and
        CredentialsRejected.
        """
        for last in (False, True):
            bearer = {"Authorization": f"Bearer {self.tokens.read(renew=last)}", **(headers or {})}
            try:
                response = self._http.request(method, path, headers=bearer, params=_spelled(params), json=json)
            except httpx.HTTPError as error:
                unheard = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                raise self.unreachable(f"did not answer ({type(error).__name__})", nothing_sent=unheard) from error
            if response.status_code != 401 or last:
                break
        if response.status_code in (401, 403):
            raise self.rejected(f"{response.status_code}: {_words(response)}")
        if response.status_code >= 400 and response.status_code not in refusals:
            raise self.unreachable(f"answered {response.status_code} to {method} {path} ({_words(response)})")
        return Answer(response.status_code, self._body(response, f"{method} {path}"), _words(response))

    def _body(self, response: httpx.Response, request: str) -> Any:
        if response.status_code >= 400 or not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise self.unreachable(f"answered something that is not JSON to {request}") from error

    def introspected(self, url: str) -> Any:
        """What the site's token service says of our token (OLCF's S3M: the header holds the token alone)."""
        try:
            response = self._http.get(url, headers={"Authorization": self.tokens.read(renew=False)})
            if response.status_code in (401, 403):
                raise self.rejected(f"{response.status_code} at {url}")
            return response.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise self.unreachable(f"did not tell about its token ({type(error).__name__})") from error

    def rejected(self, words: str) -> CredentialsRejected:
        return CredentialsRejected(
            f"{self.title} refused the {self.tokens.where} ({words}).",
            next_step="Make a new token with the right to compute and put it there; no restart is needed. Then re-execute from failure.",
        )

    def unreachable(self, words: str, *, nothing_sent: bool = False) -> ServiceUnreachable:
        """``nothing_sent``: the site provably heard nothing of the request."""
        details = {"nothing_sent": True} if nothing_sent else {}
        step = "It is tried again by itself; see the site's status."
        return ServiceUnreachable(f"The IRI API of {self.title} {words}.", next_step=step, **details)

    def close(self) -> None:
        self._http.close()


def _spelled(params: Params | None) -> dict[str, str]:
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (params or {}).items()}


def _words(response: httpx.Response) -> str:
    """The problem in the site's words, on one line."""
    if response.status_code < 400:
        return ""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    told = (problem.get("detail") or problem.get("title") or problem.get("message")) if isinstance(problem, dict) else None
    return " ".join(str(told or response.reason_phrase or "no reason given").split())[:500]
