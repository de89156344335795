"""A file that cannot be admitted is named with what is wrong in it, remembered, and stops nothing.

Here: real files spoilt in every way, between good ones. Not here: waiting for files (``test_admit``) and names (``test_names``).
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest
from intake_kit import Put, Settled, Spoil, cut, edit, replaced, without

from als_assets.beamlines.bl832 import layout
from als_assets.errors import (
    AlsError,
    ScanEmpty,
    ScanFieldMissing,
    ScanNotFinite,
    ScanNotHdf5,
    ScanShapeMismatch,
    ScanStillWriting,
    ScanTruncated,
    ScanUnreadable,
)
from als_assets.facility.settings import Settings
from als_assets.intake import Intake
from als_assets.ledger import Ledger

BROKEN: dict[str, tuple[Spoil, type[AlsError], str]] = {
    "empty": (lambda path: path.write_bytes(b""), ScanEmpty, "bad.h5"),
    "no HDF5": (lambda path: path.write_bytes(b"word " * 1000), ScanNotHdf5, "bad.h5"),
    "truncated": (cut, ScanTruncated, "bad.h5"),
    "without flats": (without(layout.WHITE), ScanFieldMissing, layout.WHITE),
    "without angles": (without(layout.THETA), ScanFieldMissing, layout.THETA),
    "wrong shape": (replaced(layout.THETA, np.zeros(3)), ScanShapeMismatch, layout.THETA),
    "NaN": (replaced(layout.THETA, np.full(9, np.nan)), ScanNotFinite, layout.THETA),
    "last frames dark": (
        lambda path: edit(path, lambda file: file[layout.DATA].__setitem__(slice(5, None), 0)),
        ScanTruncated,
        "only 5 of 9 frames",
    ),
}


class TestBrokenFiles:
    def test_each_is_named_remembered_and_stops_nothing(self, put: Put, settled: Settled, ledger: Ledger) -> None:
        put("f/000.h5")
        put("f/zzz.h5")
        for i, (spoil, _, _) in enumerate(BROKEN.values()):
            put(f"f{i}/bad.h5", edit=spoil)
        admitted, refused = settled()
        assert admitted == ["000", "zzz"]
        problems = {s.path: (s.problem, s.next_step) for s in ledger.sightings.list("bl832")}
        for i, (name, (_, kind, words)) in enumerate(BROKEN.items()):
            error = refused[f"f{i}/bad.h5"]
            assert type(error) is kind, name
            assert words in error.sentence and error.next_step, name
            assert problems[f"f{i}/bad.h5"] == (error.sentence, error.next_step)

    def test_a_mended_file_is_admitted(self, put: Put, settled: Settled) -> None:
        put("f/bad.h5", edit=BROKEN["NaN"][0])
        settled()
        put("f/bad.h5")
        assert settled() == (["bad"], {})

    def test_a_file_that_vanishes_during_the_walk_is_named(
        self, intake: Intake, put: Put, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put("f/a.h5")
        put("f/b.h5")
        monkeypatch.setattr(intake, "_candidates", lambda _errors: iter([PurePosixPath("f/gone.h5"), PurePosixPath("f/b.h5")]))
        _, refused = intake.look(settings, 10)
        assert [type(r.error) for r in refused] == [ScanUnreadable, ScanStillWriting]

    def test_a_file_that_is_gone_is_forgotten(self, put: Put, settled: Settled, ledger: Ledger) -> None:
        path = put("f/bad.h5", edit=cut)
        settled()
        assert [s.path for s in ledger.sightings.list()] == ["f/bad.h5"]
        path.unlink()
        assert settled() == ([], {}) and ledger.sightings.list() == []
