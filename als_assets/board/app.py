"""The board's pages: addresses, and what each one gathers.

Here: routes, and the headers that every answer carries. Not here: queries (``records``), judgement (``safety``, ``verdict``,
``state``) and looks (templates). Only GET and HEAD are answered.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from als_assets.board import moments, views
from als_assets.board.alarms import alarms_of
from als_assets.board.links import run_page
from als_assets.board.media import Media
from als_assets.board.records import ScanRecord, find_datasets, read_scans
from als_assets.board.safety import Safety, safety_of
from als_assets.board.state import State, is_going_on, seen, state_of
from als_assets.board.steps import steps_of
from als_assets.board.verdict import BAD, Step, StepState
from als_assets.board.viewer import Viewer
from als_assets.facility import Facility
from als_assets.ledger import Dataset, Ledger
from als_assets.words import size_words

ON_A_PAGE = 50
HISTORY_ROWS = 100
_LONGEST_SEARCH = 200
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# Everything is escaped: names of files, folders and samples come from outside.
_ENGINE = Environment(
    loader=PackageLoader("als_assets.board"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_ENGINE.filters |= {"size": size_words, "exact": moments.exact}


def build_app(facility: Facility, ledger: Ledger) -> Starlette:
    """The application for one facility and its record. The ledger stays the caller's to close."""
    pages = Pages(facility, ledger)
    return Starlette(
        routes=[
            Route("/", pages.index, name="index"),
            Route("/health", pages.health),
            Route("/scan/{key}", pages.scan, name="scan"),
            Route("/media/{key}/{name}", pages.media),
            Route("/favicon.ico", pages.no_icon),
            *pages.viewer.routes(),
            Mount("/static", StaticFiles(packages=[("als_assets.board", "static")]), name="static"),
        ],
        middleware=[Middleware(ReadOnly)],
        exception_handlers={HTTPException: pages.refusal, SQLAlchemyError: pages.unreadable},
    )


class ReadOnly:
    """Refuses every method but GET and HEAD before any route is looked at, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] not in ("GET", "HEAD"):
            refusal = PlainTextResponse("The board only shows; it changes nothing.\n", 405, {"Allow": "GET, HEAD"})
            await refusal(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)


class Pages:
    """One method for each address. They run in threads: reading the record blocks."""

    def __init__(self, facility: Facility, ledger: Ledger) -> None:
        self._facility = facility
        self._ledger = ledger
        self._media = Media(facility.state_dir / "media")
        self.viewer = Viewer(facility, ledger, render)

    def index(self, request: Request) -> Response:
        """The newest scans, or those that match ``q``, and the files that are none yet."""
        query = request.query_params.get("q", "").strip()[:_LONGEST_SEARCH]
        offset = _number(request.query_params.get("from", ""))
        found = find_datasets(self._ledger, query, limit=ON_A_PAGE + 1, offset=offset)
        now = self._ledger.clock()
        rows = [self._row(record, now) for record in read_scans(self._ledger, found[:ON_A_PAGE])]
        sightings = [seen(s, now) for s in self._ledger.sightings.list() if all(w.lower() in s.path.lower() for w in query.split())]
        return self._page(
            "index.html",
            now,
            alarms=alarms_of(self._facility, self._ledger),
            query=query,
            rows=rows,
            offset=offset,
            older=offset + ON_A_PAGE if len(found) > ON_A_PAGE else None,
            newer=max(0, offset - ON_A_PAGE) if offset else None,
            sightings=[] if offset else sightings,
            reload=any(row["going_on"] for row in rows) or any(s.state.look == "busy" for s in sightings),
        )

    def _judged(self, record: ScanRecord, now: datetime) -> tuple[list[Step], Safety, State]:
        steps = steps_of(self._facility, record, self._media.made_at(record.dataset.key))
        safety = safety_of(self._facility, record, now)
        return steps, safety, state_of(record, steps, safety)

    def _row(self, record: ScanRecord, now: datetime) -> dict[str, Any]:
        steps, safety, state = self._judged(record, now)
        wanted = {"needs attention": BAD, "working": {StepState.GOING_ON}}.get(state.word, set())
        telling = next((step for step in steps if step.state in wanted), None)
        return {
            "dataset": record.dataset,
            "safety": safety,
            "state": state,
            "going_on": is_going_on(record),
            "telling": f"{telling.title}: {telling.sentence}" if telling else "",
        }

    def scan(self, request: Request) -> Response:
        """Everything about one scan."""
        key = request.path_params["key"]
        dataset = self._ledger.datasets.find(key)
        if dataset is None:
            return self._unknown(key)
        now = self._ledger.clock()
        record = read_scans(self._ledger, [dataset])[0]
        steps, safety, state = self._judged(record, now)
        return self._page(
            "scan.html",
            now,
            dataset=dataset,
            hold=record.hold,
            state=state,
            safety=safety,
            steps=steps,
            troubles=[step for step in steps if step.state in BAD],
            done=sum(step.state is StepState.DONE for step in steps),
            planned=sum(step.state is not StepState.LEFT_OUT for step in steps),
            report_rows=views.report_rows,
            log_tails=views.log_tails,
            preview=self._media.preview(key),
            copies=views.copies_of(self._facility, record),
            facts=views.facts_of(record),
            warnings=views.warnings_of(record),
            decision=views.decision_of(self._facility, record),
            history=views.history_of(self._ledger.audit.of(key, HISTORY_ROWS), key),
            runs=[link for run in sorted(record.living) for link in run_page(self._facility, run)],
            reload=is_going_on(record),
        )

    def _unknown(self, key: str) -> Response:
        now = self._ledger.clock()
        similar = list(find_datasets(self._ledger, key[:_LONGEST_SEARCH], limit=5)) or self._resembling(key)
        waiting = [seen(s, now) for s in self._ledger.sightings.list() if key.lower() in s.path.lower()]
        return self._page("unknown.html", now, status=404, key=key, similar=similar, sightings=waiting, reload=False)

    def _resembling(self, key: str) -> Sequence[Dataset]:
        recent = {d.key: d for d in self._ledger.datasets.list()}
        return [recent[name] for name in difflib.get_close_matches(key, recent, n=5)]

    def media(self, request: Request) -> Response:
        """A picture, or the numbers of a preview."""
        answer = self._media.answer(request)
        if answer is None:
            raise HTTPException(404, "There is no such picture.")
        return answer

    def no_icon(self, _request: Request) -> Response:
        """Browsers ask for it unasked; an error in their console would only distract."""
        return Response(status_code=204)

    def health(self, _request: Request) -> Response:
        """'ok' when the record can be read."""
        self._ledger.datasets.list(limit=1)
        return PlainTextResponse("ok")

    def refusal(self, _request: Request, error: Exception) -> Response:
        """An address that does not exist."""
        assert isinstance(error, HTTPException)  # registered for nothing else
        words = "There is no such page." if error.detail == "Not Found" else error.detail
        return self._page("trouble.html", self._ledger.clock(), status=error.status_code, words=words, reload=False)

    def unreadable(self, _request: Request, _error: Exception) -> Response:
        """The record's database does not answer. Says nothing about the data."""
        words = "The record cannot be read at the moment. This says nothing about your data. The page tries again by itself."
        return self._page("trouble.html", self._ledger.clock(), status=503, words=words, reload=True)

    def _page(self, template: str, now: datetime, *, status: int = 200, **values: Any) -> Response:
        return render(template, status=status, now=now, ago=lambda moment: moments.ago(moment, now), facility=self._facility, **values)


def render(template: str, *, status: int = 200, **values: Any) -> Response:
    """A page from its template."""
    text = _ENGINE.get_template(template).render(**values)
    # A name may hold half of a surrogate pair (a byte that is no UTF-8), which no page can carry.
    return HTMLResponse(text.encode("utf-8", errors="replace"), status_code=status)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
