"""Receipts as Dagster metadata: small tables and links that staff can read on the partition page without a click.

Here: the way from the domain's values to MetadataValues (3 kB an asset at most: Dagster stores it twice). Not here: the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from als_assets.errors import AlsError
from als_assets.facility import Facility
from als_assets.ledger import Replica
from als_assets.words import duration_words, rate_words, size_words

Metadata = dict[str, Any]

# Of a job's report, what does not fit into a table.
_LONG = ("stderr_tail", "stdout_tail", "sentence", "next_step", "script", "page")
_COLUMNS = dg.TableSchema(columns=[dg.TableColumn("what", "string"), dg.TableColumn("evidence", "string")])


def board_link(facility: Facility, dataset_key: str) -> str:
    return f"{facility.board_url}/scan/{dataset_key}"


def view_link(facility: Facility, dataset_key: str) -> dg.UrlMetadataValue:
    """The volume in the viewer; where this machine does not see it, the page says where it is."""
    return dg.MetadataValue.url(f"{facility.board_url}/view/{dataset_key}")


def evidence_table(rows: Mapping[str, object]) -> dg.TableMetadataValue:
    """A table of what is known, and how; rows without a value are left out."""
    records = [dg.TableRecord({"what": name, "evidence": str(value)[:400]}) for name, value in rows.items() if value not in (None, "")]
    return dg.MetadataValue.table(records, schema=_COLUMNS)


def copy_metadata(facility: Facility, replica: Replica, *, made: bool, seconds: float | None, link: str) -> Metadata:
    """What a verified copy shows."""
    rows = {
        "state": f"{replica.state} ({'copied now' if made else 'was there, looked at again'})",
        "where": f"{replica.location}: {replica.path}",
        "verified at": f"{replica.verified_at:%Y-%m-%d %H:%M:%S} UTC" if replica.verified_at else None,
        "SHA-256": replica.sha256,
        **{name.replace("_", " "): value for name, value in replica.evidence.items() if name != "report"},
    }
    shown: Metadata = {
        "evidence": evidence_table(rows),
        "size": size_words(replica.size_bytes),
        "bytes": replica.size_bytes or 0,
        "files": replica.files or 0,
        "scan page": dg.MetadataValue.url(board_link(facility, replica.dataset_key)),
    }
    if seconds is not None:
        shown |= {"duration": duration_words(seconds), "rate": rate_words(replica.size_bytes, seconds)}
    if link:
        shown["transfer task"] = dg.MetadataValue.url(link)
    return shown


def product_metadata(facility: Facility, replica: Replica, *, made: bool, site: str, report: Mapping[str, Any]) -> Metadata:
    """What a product made by a job shows."""
    rows = {
        "state": f"{replica.state} ({'made now' if made else 'was there, looked at again'})",
        "where": f"{replica.location}: {replica.path}",
        "site": facility.sites[site].title,
        "job": report.get("job_id"),
        "scheduler state": report.get("state"),
        "exit code": report.get("exit_code"),
        "nodes": report.get("nodes"),
        "queue": report.get("queue"),
        "most memory": report.get("max_rss"),
        "image": report.get("image"),
        "waited in queue": _seconds(report.get("queue_wait_s")),
        "ran": _seconds(report.get("used_s")),
        "time asked for": _seconds(report.get("asked_s")),
        "parameters": replica.evidence.get("parameters"),
        "witnesses": replica.evidence.get("witnesses"),
    }
    return {
        "evidence": evidence_table(rows),
        "site": site,
        "job id": str(report.get("job_id", "")),
        "size": size_words(replica.size_bytes),
        "bytes": replica.size_bytes or 0,
        "files": replica.files or 0,
        "scan page": dg.MetadataValue.url(board_link(facility, replica.dataset_key)),
    }


def failure_metadata(facility: Facility, dataset_key: str, error: AlsError) -> Metadata:
    """What a failed step shows: the sentence, the next step, the facts, and where to read on."""
    shown: Metadata = {
        "what happened": error.sentence,
        "next step": error.next_step,
        "scan page": dg.MetadataValue.url(board_link(facility, dataset_key)),
        "help page": f"docs/errors/{error.page}.md",
    }
    report = error.details.get("report")
    if isinstance(report, Mapping):
        shown["job"] = evidence_table({k: v for k, v in report.items() if k not in _LONG})
        shown["help page"] = str(report.get("page") or shown["help page"])
        for name in ("stderr_tail", "stdout_tail"):
            if report.get(name):
                shown[f"last lines of {name.removesuffix('_tail')}"] = dg.MetadataValue.md(f"```\n{str(report[name])[-900:]}\n```")
        if report.get("script"):
            shown["script"] = dg.MetadataValue.md(f"```\n{str(report['script'])[:900]}\n```")
        return shown
    facts = {k.replace("_", " "): v for k, v in error.details.items() if k not in ("events", "link")}
    if facts:
        shown["facts"] = evidence_table(facts)
    if error.details.get("link"):
        shown["transfer task"] = dg.MetadataValue.url(str(error.details["link"]))
    events = error.details.get("events")
    if isinstance(events, list) and events:
        shown["last events"] = dg.MetadataValue.md("\n".join(f"- {e}" for e in events)[:900])
    return shown


def pictures_markdown(pictures: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """Pictures by address, in one short text: the UI shows markdown inline only below 1,000 characters."""
    return dg.MetadataValue.md(" ".join(f"![{title}]({url})" for title, url in pictures.items())[:999])


def _seconds(value: object) -> str | None:
    return duration_words(float(value)) if isinstance(value, (int, float)) else None
