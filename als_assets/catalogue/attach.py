"""The pictures of a record, each of them once.

Here: which are missing, and adding them. A record without its picture is a record: a refusal is listed, not raised. Not here: making
pictures (``pictures``), and the routes (``calls``).
"""

from __future__ import annotations

from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.model import Issue, Record, Thumbnail, warn
from als_assets.catalogue.rivals import found_or_awaited
from als_assets.errors import CatalogueRefused, ServiceUnreachable


def ensure_pictures(calls: DatasetCalls, record: Record, patience_s: float | None, issues: list[Issue]) -> int:
    """Add the pictures that are missing, and return how many. ``patience_s``: how long another writer may take to add them (None: there
    is none). Raises ServiceUnreachable, and what ``CatalogueClient.request`` raises but CatalogueRefused."""
    if not record.thumbnails:
        return 0
    captions = {thumbnail.caption for thumbnail in record.thumbnails}
    known = found_or_awaited(lambda: _known(calls), captions, patience_s) or set()
    added = 0
    for thumbnail in record.thumbnails:
        if known & {record.attachment_id(thumbnail), thumbnail.caption}:
            continue
        try:
            added += _attach(calls, record, thumbnail)
        except CatalogueRefused as error:
            warn(issues, "thumbnail", f"The picture {thumbnail.caption!r} was not added: {error.sentence}")
    return added


def _attach(calls: DatasetCalls, record: Record, thumbnail: Thumbnail) -> int:
    body = {
        "thumbnail": thumbnail.uri,
        "caption": thumbnail.caption,
        "ownerGroup": record.dataset.ownerGroup,
        "accessGroups": record.dataset.accessGroups,
    }
    identifier = record.attachment_id(thumbnail)
    try:
        calls.add_attachment(identifier, body)
    except ServiceUnreachable:
        # SciCat answers 500 to an identifier that exists: another ingest was faster, or our own answer was lost.
        if _known(calls) & {identifier, thumbnail.caption}:
            return 0
        raise
    return 1


def _known(calls: DatasetCalls) -> set[str]:
    return {str(item.get(name)) for item in calls.attachments() for name in ("aid", "_id", "caption")}
