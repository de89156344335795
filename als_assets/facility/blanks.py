"""What a person must still fill in before a site can be used: words in angle brackets in the facility file, as in ``<OLCF project>``.

Here: finding them among the entries of a site. Not here: what follows for a scan (``intake.dispatch``, ``compute.service``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from als_assets.facility.models import Facility

_BLANK = re.compile(r"<[^<>/]+>")


def not_set_up(facility: Facility, site: str) -> str:
    """Why a site cannot be used yet, as a clause that names each blank and its places; empty when nothing is left to fill in."""
    if site not in facility.sites:
        return ""
    found: dict[str, list[str]] = {}
    for place, blank in _blanks(facility, site):
        found.setdefault(blank, []).append(place)
    words = [f"{blank} must be filled in at {', '.join(places)}" for blank, places in found.items()]
    return f"{facility.sites[site].title} is not set up: {'; '.join(words)}" if words else ""


def _blanks(facility: Facility, site: str) -> Iterator[tuple[str, str]]:
    compute = facility.sites[site].compute
    if compute is not None:
        yield from _within(f"sites.{site}.compute", compute.model_dump())
    for name, location in facility.locations.items():
        if location.site == site:
            yield from _within(f"locations.{name}", location.model_dump())


def _within(place: str, value: object) -> Iterator[tuple[str, str]]:
    """Every blank in a value, with the dotted name of its place."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _within(f"{place}.{key}", entry)
    elif isinstance(value, str | PurePath):
        for blank in dict.fromkeys(_BLANK.findall(str(value))):
            yield place, blank
    elif isinstance(value, Sequence):
        for number, entry in enumerate(value):
            yield from _within(f"{place}.{number}", entry)
