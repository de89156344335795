"""Talk to SciCat: login that expires, requests that are repeated only where that is safe, and the export gate before each.

Here: one small port over the v3 and v4 routes that the platform needs; pyscicat's own client is not used because it puts the
token into addresses and logs in without a timeout. Not here: the routes of one record (``calls``), what a record says, or what to do when
one exists already.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from als_assets.catalogue.answers import TRANSIENT, refusal, scrub, unreachable
from als_assets.catalogue.login import Login
from als_assets.catalogue.model import Json
from als_assets.catalogue.settings import CatalogueSettings
from als_assets.errors import AlsError

MayLeave = Callable[[str], None]
_MAX_RETRY_AFTER_S = 60.0


class _Again(Exception):
    """Carries the error of an attempt that may be repeated."""

    def __init__(self, error: AlsError, retry_after_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class CatalogueClient:
    """One account on one SciCat. Thread-safe; close it, or use it in a with statement.

    ``may_leave(dataset_key)`` is called before every single request about a dataset and raises ExportRefused where the dataset
    must stay at ALS.
    """

    def __init__(self, settings: CatalogueSettings, may_leave: MayLeave) -> None:
        self.settings = settings
        self._may_leave = may_leave
        self._http = httpx.Client(timeout=settings.timeout_s, headers={"Accept": "application/json"})
        self._login = Login(settings, self._http)
        self.names_pictures = True
        """Whether SciCat lets this account give pictures their identifiers; False from the first refusal on."""

    def __repr__(self) -> str:
        return f"CatalogueClient({self.settings.api('v3')!r}, {self.settings.username!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def whoami(self) -> Json:
        """The account as SciCat knows it. Raises CredentialsRejected, ServiceUnreachable."""
        found: Json = self.request("GET", "users/my/self", "say who we are") or {}
        return found

    def search(self, where: Mapping[str, str | Json], *, fields: Sequence[str] = (), skip: int = 0, limit: int = 100) -> list[Json]:
        """Records that fulfil ``where`` and that this account may read, by identifier; an empty answer is believed only if SciCat
        knew who asked. Never put what is about one dataset into ``where`` before the export gate was asked.

        A text in ``where`` is looked for as it is, whatever it looks like.
        """
        limits = {"skip": skip, "limit": limit, "order": "pid:asc"}
        asked = {name: _exactly(condition) for name, condition in where.items()}
        query = {"where": asked, "limits": limits, **({"fields": list(fields)} if fields else {})}
        params = {"filter": json.dumps(query)}
        found = self.request("GET", "datasets", "search", params=params)
        if not found and not self.trust_empty():
            found = self.request("GET", "datasets", "search", params=params)
        return list(found or [])

    def request(
        self,
        method: str,
        path: str,
        action: str,
        *,
        version: str = "v3",
        dataset_key: str | None = None,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
        creating: bool = False,
    ) -> Any:
        """The JSON of the answer; None for an empty one and for a 404 to GET.

        ``repeat=False`` is for requests that must not be carried out twice: they are repeated only where the first certainly
        did not arrive. Raises ExportRefused, CredentialsRejected, CatalogueRefused, CatalogueConflict, ServiceUnreachable, and
        RecordInvalid while ``creating``.
        """
        url = f"{self.settings.api(version)}/{path}"
        request = self._http.build_request(method, url, json=body, params=params, headers=headers)
        retrying = Retrying(
            stop=stop_after_attempt(max(1, self.settings.attempts)),
            wait=self._wait_s,
            retry=retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            response: httpx.Response = retrying(self._attempt, request, action, dataset_key, repeat, creating)
        except _Again as again:
            raise again.error from again.__cause__
        return _json(response, action)

    def trust_empty(self) -> bool:
        """Whether an answer "there is nothing" may be believed: not if SciCat did not know us (we then have a new login)."""
        logins = self._login.count
        self.whoami()
        return self._login.count == logins

    def _attempt(self, request: httpx.Request, action: str, dataset_key: str | None, repeat: bool, creating: bool) -> httpx.Response:
        response = self._send(request, action, dataset_key, repeat)
        if response.status_code in (401, 403):
            self._login.forget()
            response = self._send(request, action, dataset_key, repeat)
        if response.is_success or (response.status_code == 404 and request.method == "GET"):
            return response
        error = refusal(response, action, creating=creating, secrets=self._login.secrets)
        if response.status_code == 429 or (repeat and response.status_code in TRANSIENT):
            raise _Again(error, _retry_after_s(response))
        raise error

    def _send(self, request: httpx.Request, action: str, dataset_key: str | None, repeat: bool) -> httpx.Response:
        if dataset_key is not None:
            self._may_leave(dataset_key)
        sent = False
        try:
            request.headers.update(self._login.header())
            sent = True
            return self._http.send(request)
        except httpx.HTTPError as error:
            failure = unreachable(action, scrub(f"{type(error).__name__} {error}".strip(), self._login.secrets))
            never_arrived = not sent or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            if repeat or never_arrived:
                raise _Again(failure) from error
            raise failure from error

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, _Again) else 0.0
        doubled_s = min(self.settings.max_wait_s, self.settings.wait_s * 2.0 ** (state.attempt_number - 1))
        return max(asked_s, doubled_s * random.uniform(0.5, 1.0))


def _exactly(condition: str | Json) -> Json:
    """SciCat reads a text as a date if it can ("sand-3" is March 2001 to 4.27); what is in a list it leaves alone."""
    return {"inq": [condition]} if isinstance(condition, str) else condition


def beginning_with(text: str) -> Json:
    """The condition that a field begins with ``text``. In parentheses, because those are no date to any SciCat."""
    return {"like": f"(^{re.escape(text)})"}


def _json(response: httpx.Response, action: str) -> Any:
    if response.status_code == 404 or not response.content:
        return None
    try:
        return response.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise unreachable(action, "the answer is not JSON; is this SciCat's address?") from error


def _retry_after_s(response: httpx.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _MAX_RETRY_AFTER_S) if asked.isascii() and asked.isdigit() else 0.0
