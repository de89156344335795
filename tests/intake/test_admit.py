"""Every file at acquisition becomes a dataset exactly once, or is remembered with the reason why not; none stops the walk.

Here: real HDF5 files, still and growing, broken and with hostile names. Not here: the rules of the format (``beamlines``).
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from intake_kit import Put, Settled, cut, without
from ledger_kit import Clock

from als_assets.beamlines.bl832 import BL832, layout
from als_assets.errors import (
    ConfigError,
    PathOutsideLocation,
    ScanStillWriting,
    ScanTruncated,
    ScanUnreadable,
)
from als_assets.facility import Facility
from als_assets.facility.settings import ExportControl, Settings
from als_assets.intake import Intake
from als_assets.ledger import Ledger, ReplicaState

SAND = PurePosixPath("dla-00847_doe/sand.h5")


class TestStillness:
    def test_a_still_file_is_admitted_after_the_quiet_time(self, intake: Intake, put: Put, settings: Settings, clock: Clock) -> None:
        put()
        for _ in range(2):
            admitted, (refusal,) = intake.look(settings, 10)
            assert admitted == [] and refusal.waiting and isinstance(refusal.error, ScanStillWriting)
            clock.turn(seconds=4.9)
        clock.turn(seconds=0.2)
        (dataset,), refused = intake.look(settings, 10)
        assert dataset.key == "sand" and refused == []
        assert intake.look(settings, 10) == ([], []), "and never again"

    def test_a_growing_file_waits_however_long(
        self, intake: Intake, put: Put, settings: Settings, clock: Clock, complete_scan: Path
    ) -> None:
        whole = complete_scan.read_bytes()
        path = put(edit=lambda p: p.write_bytes(b""))
        for i in range(4):
            path.write_bytes(whole[: (i + 1) * len(whole) // 4])
            os.utime(path, ns=(i, i * 10**9))
            _, (refusal,) = intake.look(settings, 10)
            assert refusal.waiting
            clock.turn(seconds=60)
        assert [d.key for d in intake.look(settings, 10)[0]] == ["sand"]

    def test_a_pause_of_the_writer_is_named_and_forgotten_when_it_goes_on(
        self, intake: Intake, put: Put, settings: Settings, clock: Clock, complete_scan: Path, ledger: Ledger
    ) -> None:
        whole = complete_scan.read_bytes()
        path = put(edit=lambda p: p.write_bytes(whole[: len(whole) // 2]))
        intake.look(settings, 10)
        clock.turn(seconds=10)
        _, (refusal,) = intake.look(settings, 10)
        assert not refusal.waiting and isinstance(refusal.error, ScanTruncated)
        assert ledger.sightings.list()[0].problem == refusal.error.sentence
        path.write_bytes(whole)
        _, (again,) = intake.look(settings, 10)
        assert again.waiting and ledger.sightings.list()[0].problem is None
        clock.turn(seconds=10)
        assert [d.key for d in intake.look(settings, 10)[0]] == ["sand"]

    def test_the_quiet_time_survives_a_restart(
        self, facility: Facility, intake: Intake, put: Put, settings: Settings, clock: Clock
    ) -> None:
        put()
        intake.look(settings, 10)
        clock.turn(seconds=10)
        again = Ledger.at(facility.state_dir, clock=clock)
        assert [d.key for d in Intake(facility, again, BL832).look(settings, 10)[0]] == ["sand"]
        again.close()

    def test_a_file_that_changes_while_it_is_read_waits(
        self, intake: Intake, put: Put, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put()
        intake.look(settings, 10)
        clock.turn(seconds=10)
        inspect = type(BL832).inspect

        def read_and_touch(self: Any, file: Path) -> Any:
            facts = inspect(self, file)
            os.utime(file, ns=(1, 1))
            return facts

        monkeypatch.setattr(type(BL832), "inspect", read_and_touch)
        admitted, (refusal,) = intake.look(settings, 10)
        assert admitted == [] and refusal.waiting and "changed while it was read" in refusal.error.sentence
        assert path.exists()


class TestWhatIsRecorded:
    def test_the_scan_and_its_first_copy(self, intake: Intake, put: Put, settled: Settled, ledger: Ledger, clock: Clock) -> None:
        path = put()
        assert settled() == (["sand"], {})
        row = ledger.datasets.get("sand")
        assert (row.folder, row.file_name, row.beamline, row.proposal) == ("dla-00847_doe", "sand.h5", "bl832", "ALS-00847")
        assert row.size_bytes == path.stat().st_size and row.acquired_at == datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
        assert row.admitted_at == clock() and row.started_at is None
        facts = {k: row.facts[k] for k in ("projections", "rows", "columns", "flats", "darks", "user")}
        assert facts == {"projections": 9, "rows": 4, "columns": 32, "flats": 10, "darks": 5, "user": "doe"}
        (copy,) = ledger.replicas.of("sand")
        assert (copy.location, copy.path, copy.state) == ("spot", "dla-00847_doe/sand.h5", ReplicaState.VERIFIED)
        assert ledger.sightings.list() == []

    @pytest.mark.parametrize(
        ("control", "may_leave", "reason"),
        [
            (ExportControl(), True, "proposal ALS-00847 is not under export control"),
            (ExportControl(proposals=["ALS-00847"]), False, "proposal ALS-00847 is under export control"),
            (ExportControl(names=["dla-*/s*"]), False, "pattern 'dla-*/s*'"),
        ],
    )
    def test_whether_it_may_leave(
        self, intake: Intake, put: Put, ledger: Ledger, control: ExportControl, may_leave: bool, reason: str
    ) -> None:
        put()
        dataset = intake.consider(SAND, Settings(export_control=control), announced=True)
        assert dataset is not None and dataset.may_leave is may_leave and reason in dataset.release_reason

    def test_a_scan_without_a_proposal_stays(self, intake: Intake, put: Put, settings: Settings) -> None:
        put(edit=without(layout.PROPOSAL))
        dataset = intake.consider(SAND, settings, announced=True)
        assert dataset is not None and not dataset.may_leave and "unknown stays" in dataset.release_reason

    def test_the_same_stem_in_two_folders_gets_a_key_of_its_own(self, put: Put, settled: Settled, ledger: Ledger) -> None:
        put("a-00001_x/sand.h5")
        put("b-00002_y/sand.h5")
        put("sand.h5")
        keys, _ = settled()
        assert len(set(keys)) == 3 and sorted(keys)[0] == "sand"
        assert all(re.fullmatch(r"sand(-[0-9a-f]{8})?", key) for key in keys)
        assert len({ledger.datasets.get(key).raw_path for key in keys}) == 3

    def test_a_round_has_a_limit_and_the_next_goes_on(self, intake: Intake, put: Put, settings: Settings, clock: Clock) -> None:
        for name in "abcde":
            put(f"f/{name}.h5")
        intake.look(settings, 2)
        clock.turn(seconds=10)
        rounds = [[d.key for d in intake.look(settings, 2)[0]] for _ in range(4)]
        assert rounds == [["a", "b"], ["c", "d"], ["e"], []]

    def test_files_that_are_no_scans_are_not_looked_at(self, watched: Path, put: Put, settled: Settled, ledger: Ledger) -> None:
        for name in ("notes.txt", ".hidden.h5", "f/sand.h5.tmp", ".f/sand.h5", "sand.H5.partial"):
            put(name)
        (watched / "folder.h5").mkdir()
        assert settled() == ([], {}) and ledger.sightings.list() == []


class TestTheFolder:
    def test_a_watched_folder_that_is_not_there_is_no_quiet_day(self, intake: Intake, watched: Path, settings: Settings) -> None:
        shutil.rmtree(watched)
        with pytest.raises(ScanUnreadable, match=r"The watched folder .*/spot/raw is not there"):
            intake.look(settings, 10)

    def test_a_folder_that_cannot_be_looked_into_is_named_and_the_rest_goes_on(
        self, intake: Intake, put: Put, settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put("closed/a.h5")
        put("open/b.h5")
        intake.look(settings, 10)
        scandir = os.scandir

        def refuse(path: Any) -> Any:  # tests may run as root, whom no rights stop
            if str(path).endswith("closed"):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        _, refused = intake.look(settings, 10)
        assert [(r.path, r.waiting) for r in refused] == [("open/b.h5", True), ("closed", False)]
        assert "The folder closed cannot be looked into: Permission denied" in refused[1].error.sentence
        assert [s.path for s in ledger.sightings.list()] == ["closed/a.h5", "open/b.h5"], "what was seen there is not forgotten"

    def test_a_location_that_is_not_mounted_cannot_be_watched(self, facility: Facility, ledger: Ledger) -> None:
        locations = {**facility.locations, "spot": facility.location("eagle_raw")}
        with pytest.raises(ConfigError, match="'spot' is not mounted here"):
            Intake(facility.model_copy(update={"locations": locations}), ledger, BL832)


class TestAnnounced:
    def test_an_announced_file_is_admitted_at_once_and_once(self, intake: Intake, put: Put, settings: Settings, ledger: Ledger) -> None:
        put()
        dataset = intake.consider(SAND, settings, announced=True)
        assert dataset is not None and dataset.key == "sand" and ledger.sightings.list() == []
        assert intake.consider(SAND, settings, announced=True) is None
        assert intake.look(settings, 10) == ([], [])

    def test_without_the_announcement_it_has_to_lie_still(self, intake: Intake, put: Put, settings: Settings) -> None:
        put()
        with pytest.raises(ScanStillWriting):
            intake.consider(SAND, settings)

    def test_it_is_looked_into_all_the_same(self, intake: Intake, put: Put, settings: Settings) -> None:
        put(edit=cut)
        with pytest.raises(ScanTruncated):
            intake.consider(SAND, settings, announced=True)

    @pytest.mark.parametrize("path", ["../outside.h5", "f/../../outside.h5", "/etc/passwd", "f/../sand.h5", ".", "a\0b.h5"])
    def test_a_path_that_leaves_the_folder_is_refused_unread(
        self, intake: Intake, settings: Settings, watched: Path, complete_scan: Path, ledger: Ledger, path: str
    ) -> None:
        shutil.copyfile(complete_scan, watched.parent / "outside.h5")
        with pytest.raises(PathOutsideLocation) as caught:
            intake.consider(PurePosixPath(path), settings, announced=True)
        assert caught.value.next_step and ledger.datasets.list() == [] and ledger.sightings.list() == []

    def test_a_folder_that_is_a_link_leads_nowhere(self, intake: Intake, settings: Settings, watched: Path, complete_scan: Path) -> None:
        (watched / "away").symlink_to(complete_scan.parent)
        with pytest.raises(PathOutsideLocation, match="reached through a link"):
            intake.consider(PurePosixPath("away/scan.h5"), settings, announced=True)

    def test_a_file_that_is_not_there_is_named(self, intake: Intake, settings: Settings) -> None:
        with pytest.raises(ScanUnreadable, match=r"The scan file absent\.h5 cannot be looked at"):
            intake.consider(PurePosixPath("f/absent.h5"), settings, announced=True)
