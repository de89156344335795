"""Addresses to other pages: Dagster, Globus and SciCat, where staff act; the board itself only shows.

Here: how each address is made, and the check that an address from the record is one. Not here: any request.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from als_assets.facility import Facility
from als_assets.ledger import Operation, OperationKind


@dataclass(frozen=True)
class Link:
    title: str
    url: str


def safe_url(value: object) -> str:
    """An http(s) address, or ''. What a remote service once told must not become a link that runs something."""
    text = value if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.netloc else ""


def partition_page(facility: Facility, asset: str, key: str) -> list[Link]:
    """The asset's page for one scan (the form that Dagster 1.13's own pages use)."""
    if not facility.dagster_url:
        return []
    return [Link("Dagster", f"{facility.dagster_url}/assets/{quote(asset)}?view=partitions&partition={quote(key)}")]


def run_page(facility: Facility, run_id: str | None) -> list[Link]:
    """The run that works or worked on something; 're-execute from failure' and 'terminate' are there."""
    if not facility.dagster_url or not run_id:
        return []
    return [Link("Run", f"{facility.dagster_url}/runs/{quote(run_id, safe='')}")]


def remote_pages(facility: Facility, operation: Operation) -> list[Link]:
    """The remote side of an operation: the Globus task or the SciCat record."""
    if operation.kind is OperationKind.CATALOGUE:
        url = safe_url(operation.outcome.get("url"))
        return [Link("SciCat record", url)] if url else []
    url = safe_url(operation.outcome.get("link"))
    task = operation.handle.get("task_id")
    if not url and isinstance(task, str):
        url = f"{facility.globus.web_url}/activity/{quote(task, safe='')}"
    return [Link("Globus task", url)] if url else []
