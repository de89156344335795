"""What differs between a record of ours and what SciCat gives back.

Here: a pure comparison that knows how SciCat changes what it stores (times, units, added keys). Not here: requests.
"""

from __future__ import annotations

from typing import Any

from als_assets.catalogue.model import INGEST, LOCATIONS, Json, moment

_FIXED = frozenset({"pid", "type", "isPublished"})  # not ours to change: SciCat refuses the first two, people decide the third
_TIMES = frozenset({"creationTime", "endTime"})
_UNORDERED = frozenset({"accessGroups", "keywords"})


def differences(ours: Json, theirs: Json) -> Json:
    """The fields to patch, with the values to send. What others added to groups, keywords and scientificMetadata is kept."""
    changes: Json = {}
    for name, wanted in ours.items():
        if name in _FIXED:
            continue
        found = theirs.get(name)
        if name == "investigator" and found is None:
            found = theirs.get("principalInvestigator")  # v3 stores it there and may show only that
        if name == "scientificMetadata":
            wanted, found = _metadata(wanted, found or {})
        if name in _UNORDERED and isinstance(found, list):
            wanted = [*found, *(item for item in wanted if item not in found)]
        if not _same(name, wanted, found):
            changes[name] = wanted
    return changes


def _metadata(wanted: Json, found: Json) -> tuple[Json, Json]:
    """PATCH replaces the whole object: what is there and not ours goes back with ours; the creator's mark and the list of copies
    (which follows the record of copies, not the file) stay as they are."""
    kept = {INGEST, LOCATIONS} & found.keys()
    merged = {**without_nulls(found), **{key: value for key, value in wanted.items() if key not in kept}}
    return merged, {} if None in found.values() else found


def without_nulls(metadata: Json) -> Json:
    """What may be sent of somebody else's scientificMetadata: with a null at its top SciCat fails on every change of the record, for
    ever, so it must not go back."""
    return {key: value for key, value in metadata.items() if value is not None}


def _same(name: str, wanted: Any, found: Any) -> bool:
    if name in _TIMES:
        return moment(wanted) == moment(found)
    return contains(found, wanted)


def contains(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; SciCat adds keys (valueSI, unitSI, _id) to objects of ours."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(contains(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same_length = isinstance(found, list) and len(found) == len(wanted)
        return same_length and all(contains(there, here) for there, here in zip(found, wanted, strict=True))
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return float(wanted) == float(found)  # its numbers are doubles, and 1.5e16 comes back as the digits of an integer
    return bool(wanted == found)
