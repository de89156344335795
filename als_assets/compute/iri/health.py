"""What a site says of itself through the IRI API, as one value for routing.

Here: pure reading of resource and incident documents. Not here: asking for them (``iri``), and what follows (``routing``).
Source: DOE IRI Facility API, status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from als_assets.compute.health import SiteHealth

_OVER = ("completed", "cancelled", "canceled")
_STATUS_WORDS = {"up": "is up", "degraded": "is up, but degraded", "down": "is down"}


def health_of(resource: Mapping[str, Any], incidents: Sequence[Mapping[str, Any]], now: datetime, title: str) -> SiteHealth:
    """A site's health from its resource and the incidents that name it. An unknown status is not ok."""
    status = str(resource.get("current_status") or "unknown").lower()
    current, coming = _current(incidents, now), _next_outage(incidents, now)
    begin, end = (None, None) if coming is None else (coming[0], coming[1])
    ok = status in ("up", "degraded") and (begin is None or begin > now)
    sentence = f"{title} {_STATUS_WORDS.get(status, f'does not say whether it is up ({status})')}"
    if begin is not None:
        until = f" to {end:%Y-%m-%d %H:%M}" if end else ""
        sentence += f"; maintenance from {begin:%Y-%m-%d %H:%M}{until} UTC"
    if current:
        sentence += f"; {current}"
    return SiteHealth(ok, sentence + ".", begin, end)


def _next_outage(incidents: Sequence[Mapping[str, Any]], now: datetime) -> tuple[datetime, datetime | None] | None:
    """The first announced outage that is not over. An end in the past without a resolution is over."""
    windows = []
    for incident in incidents:
        begin, end = _moment(incident.get("start")), _moment(incident.get("end"))
        planned = str(incident.get("type", "")).lower() == "planned" and str(incident.get("status", "down")).lower() != "up"
        if planned and begin is not None and not _over(incident) and (end is None or end > now):
            windows.append((begin, end))
    return min(windows, key=lambda window: window[0], default=None)


def _current(incidents: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """What staff read about an unplanned incident that goes on."""
    for incident in incidents:
        begin, end = _moment(incident.get("start")), _moment(incident.get("end"))
        goes_on = begin is not None and begin <= now and (end is None or end > now) and not _over(incident)
        if str(incident.get("type", "")).lower() == "unplanned" and goes_on:
            return " ".join(str(incident.get("description") or incident.get("name") or "an incident").split())[:200].rstrip(".")
    return ""


def _over(incident: Mapping[str, Any]) -> bool:
    return str(incident.get("resolution", "")).lower() in _OVER


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
