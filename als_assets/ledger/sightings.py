"""Sightings: files seen at acquisition that are not datasets yet, how long they have been still, and what is wrong with them.

Here: the memory of the new-file sensor, which therefore survives any restart. Not here: judging files (``beamlines``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Sighting


class Sightings:
    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def see(self, beamline: str, path: str, size_bytes: int, mtime_ns: int) -> Sighting:
        """Remember what the file looks like now; ``unchanged_since`` starts anew whenever size or mtime differ, and
        when a clock that was set back makes it lie in the future."""
        now = self._clock()
        with writing(self._engine) as session:
            row = session.get(Sighting, (beamline, path))
            if row is None:
                row = Sighting(path=path, beamline=beamline, problem=None, next_step=None)
                row.size_bytes, row.mtime_ns, row.unchanged_since = size_bytes, mtime_ns, now
                session.add(row)
            elif (row.size_bytes, row.mtime_ns) != (size_bytes, mtime_ns) or row.unchanged_since > now:
                row.size_bytes, row.mtime_ns, row.unchanged_since = size_bytes, mtime_ns, now
                row.problem = row.next_step = None
            row.seen_at = now
        return row

    def refuse(self, beamline: str, path: str, problem: str, next_step: str) -> None:
        """Remember why the file is not a dataset."""
        with writing(self._engine) as session:
            session.execute(sa.update(Sighting).filter_by(beamline=beamline, path=path).values(problem=problem, next_step=next_step))

    def forget(self, beamline: str, path: str) -> None:
        """The file was admitted (or is gone)."""
        with writing(self._engine) as session:
            session.execute(sa.delete(Sighting).filter_by(beamline=beamline, path=path))

    def list(self, beamline: str | None = None) -> Sequence[Sighting]:
        with reading(self._engine) as session:
            query = sa.select(Sighting).order_by(Sighting.path)
            return session.scalars(query if beamline is None else query.filter_by(beamline=beamline)).all()
