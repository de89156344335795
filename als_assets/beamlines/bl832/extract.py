"""What an 8.3.2 scan says about itself, for the catalogue.

Here: which of its fields is who, what and where, and the picture of it. Not here: reading the file (``reader``), cleaning texts up
and the record (``catalogue``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from als_assets.beamlines.base import CatalogueFields, Extract, ExtractedFile, Extractor, ScanFacts
from als_assets.beamlines.bl832 import layout
from als_assets.errors import ScanFieldMissing, ScanNotFinite, ScanShapeMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAKEN = frozenset({layout.FILE_NAME, layout.TITLE, layout.PI, layout.PROPOSAL, layout.BEAMLINE, layout.EMAIL})
MOST_PIXELS = 512


class Bl832Extractor:
    """The ``Extractor`` of 8.3.2; has no state."""

    def extract(self, path: Path) -> Extract:
        """One file, one record; one that cannot be reconstructed has a record too, with a warning.

        Raises the ScanError that says why the file cannot be read at all.
        """
        from als_assets.beamlines.bl832.reader import describe, inspect  # h5py is slow to import
        from als_assets.beamlines.bl832.values import acquisition_time

        try:
            return extract_of(inspect(path), path.name, lambda: _picture(path))
        except (ScanFieldMissing, ScanNotFinite, ScanShapeMismatch) as error:
            metadata, status, warnings = describe(path)
            modified_at = datetime.fromtimestamp(status.st_mtime_ns / 1e9, UTC)
            return Extract(
                catalogue=_fields(metadata.values),
                scientific=_others(metadata.values),
                files=(ExtractedFile(path.name, status.st_size, modified_at),),
                created_at=acquisition_time(metadata.values, warnings),
                units=metadata.units,
                thumbnail=lambda: _picture(path),
                issues=(*warnings, f"{error.sentence}; it cannot be reconstructed as it is"),
            )


def extract_of(facts: ScanFacts, file_name: str, thumbnail: Callable[[], NDArray[Any]] | None = None) -> Extract:
    """The extract of a scan whose file was looked into."""
    modified_at = datetime.fromtimestamp(facts.mtime_ns / 1e9, UTC)
    return Extract(
        catalogue=_fields(facts.metadata),
        scientific=_others(facts.metadata),
        files=(ExtractedFile(file_name, facts.size_bytes, modified_at),),
        created_at=facts.acquired_at,
        units=facts.units,
        summary={
            "geometry": {
                "projections": facts.projections,
                "rows": facts.rows,
                "columns": facts.columns,
                "flat_fields": facts.flats,
                "dark_fields": facts.darks,
            }
        },
        thumbnail=thumbnail,
        issues=facts.warnings,
    )


def _fields(metadata: Mapping[str, object]) -> CatalogueFields:
    return CatalogueFields(
        name=metadata.get(layout.FILE_NAME),
        title=metadata.get(layout.TITLE),
        investigator=metadata.get(layout.PI),
        proposal=metadata.get(layout.PROPOSAL),
        beamline=metadata.get(layout.BEAMLINE),
        email=metadata.get(layout.EMAIL),
        instrument=metadata.get(layout.INSTRUMENT_NAME),
    )


def _others(metadata: Mapping[str, object]) -> dict[str, object]:
    return {path: found for path, found in metadata.items() if path not in _TAKEN}


def _picture(path: Path) -> NDArray[Any]:
    from als_assets.beamlines.bl832.picture import middle_projection

    return middle_projection(path, MOST_PIXELS)


EXTRACTOR: Extractor = Bl832Extractor()
