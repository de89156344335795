"""Which field of a scan file says what the catalogue asks: one extractor a beamline.

Here: the raw texts a record is made of, and where 8.3.2 keeps them. Not here: cleaning them up (``clean``) or the record.
"""

from __future__ import annotations

from dataclasses import dataclass

from als_assets.beamlines.base import ScanFacts
from als_assets.beamlines.bl832 import layout


@dataclass(frozen=True)
class CatalogueFields:
    """The texts as they are in the file (None where absent, any type where the file is odd).

    ``taken`` are the paths that became fields of the record and are left out of its scientific metadata.
    """

    name: object = None
    title: object = None
    investigator: object = None
    proposal: object = None
    beamline: object = None
    email: object = None
    instrument: object = None
    taken: frozenset[str] = frozenset()


def bl832_fields(facts: ScanFacts) -> CatalogueFields:
    """The catalogue fields of an 8.3.2 scan."""
    value = facts.metadata.get
    return CatalogueFields(
        name=value(layout.FILE_NAME),
        title=value(layout.TITLE),
        investigator=value(layout.PI),
        proposal=value(layout.PROPOSAL),
        beamline=value(layout.BEAMLINE),
        email=value(layout.EMAIL),
        instrument=value(layout.INSTRUMENT_NAME),
        taken=frozenset({layout.FILE_NAME, layout.TITLE, layout.PI, layout.PROPOSAL, layout.BEAMLINE, layout.EMAIL}),
    )
