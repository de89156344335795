"""Every file at acquisition becomes a dataset exactly once, or is remembered with the reason why not; none stops the walk.

Here: real HDF5 files, still and growing, broken and with hostile names. Not here: the rules of the format (``beamlines``).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from ledger_kit import Clock

from als_assets.beamlines.bl832 import BL832, layout
from als_assets.beamlines.keys import KEY_PATTERN, original_stem
from als_assets.errors import (
    ConfigError,
    PathOutsideLocation,
    ScanEmpty,
    ScanError,
    ScanFieldMissing,
    ScanNotFinite,
    ScanNotHdf5,
    ScanShapeMismatch,
    ScanStillWriting,
    ScanTruncated,
    ScanUnreadable,
)
from als_assets.facility import Facility
from als_assets.facility.settings import ExportControl, Settings
from als_assets.intake import Intake
from als_assets.ledger import Ledger, ReplicaState

Put = Callable[..., Path]
SAND = PurePosixPath("dla-00847_doe/sand.h5")


@pytest.fixture
def settled(intake: Intake, settings: Settings, clock: Clock) -> Callable[[], tuple[list[str], dict[str, ScanError]]]:
    """Two rounds with the quiet time between them: keys admitted by the second, and what it refused."""

    def look() -> tuple[list[str], dict[str, ScanError]]:
        first, _ = intake.look(settings, 100)
        assert first == [], "nothing is admitted at first sight"
        clock.turn(seconds=settings.quiet_s)
        admitted, refused = intake.look(settings, 100)
        return [d.key for d in admitted], {r.path: r.error for r in refused}  # type: ignore[misc]

    return look


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
    def test_the_scan_and_its_first_copy(self, intake: Intake, put: Put, settled: Any, ledger: Ledger, clock: Clock) -> None:
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
        put(edit=lambda path: _edit(path, lambda file: file.__delitem__(layout.PROPOSAL)))
        dataset = intake.consider(SAND, settings, announced=True)
        assert dataset is not None and not dataset.may_leave and "unknown stays" in dataset.release_reason

    def test_the_same_stem_in_two_folders_gets_a_key_of_its_own(self, put: Put, settled: Any, ledger: Ledger) -> None:
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

    def test_files_that_are_no_scans_are_not_looked_at(self, watched: Path, put: Put, settled: Any, ledger: Ledger) -> None:
        for name in ("notes.txt", ".hidden.h5", "f/sand.h5.tmp", ".f/sand.h5", "sand.H5.partial"):
            put(name)
        (watched / "folder.h5").mkdir()
        assert settled() == ([], {}) and ledger.sightings.list() == []


def _edit(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def _replace(name: str, value: Any) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return lambda path: _edit(path, change)


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


BROKEN: dict[str, tuple[Callable[[Path], object], type[ScanError], str]] = {
    "empty": (lambda path: path.write_bytes(b""), ScanEmpty, "bad.h5"),
    "no HDF5": (lambda path: path.write_bytes(b"word " * 1000), ScanNotHdf5, "bad.h5"),
    "truncated": (_cut, ScanTruncated, "bad.h5"),
    "without flats": (lambda path: _edit(path, lambda file: file.__delitem__(layout.WHITE)), ScanFieldMissing, layout.WHITE),
    "without angles": (lambda path: _edit(path, lambda file: file.__delitem__(layout.THETA)), ScanFieldMissing, layout.THETA),
    "wrong shape": (_replace(layout.THETA, np.zeros(3)), ScanShapeMismatch, layout.THETA),
    "NaN": (_replace(layout.THETA, np.full(9, np.nan)), ScanNotFinite, layout.THETA),
    "last frames dark": (
        lambda path: _edit(path, lambda file: file[layout.DATA].__setitem__(slice(5, None), 0)),
        ScanTruncated,
        "only 5 of 9 frames",
    ),
}


class TestBrokenFiles:
    def test_each_is_named_remembered_and_stops_nothing(self, put: Put, settled: Any, ledger: Ledger) -> None:
        put("f/000.h5")
        put("f/zzz.h5")
        for i, (edit, _, _) in enumerate(BROKEN.values()):
            put(f"f{i}/bad.h5", edit=edit)
        admitted, refused = settled()
        assert admitted == ["000", "zzz"]
        problems = {s.path: (s.problem, s.next_step) for s in ledger.sightings.list("bl832")}
        for i, (name, (_, kind, words)) in enumerate(BROKEN.items()):
            error = refused[f"f{i}/bad.h5"]
            assert type(error) is kind, name
            assert words in error.sentence and error.next_step, name
            assert problems[f"f{i}/bad.h5"] == (error.sentence, error.next_step)

    def test_a_mended_file_is_admitted(self, put: Put, settled: Any) -> None:
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


class TestTheFolder:
    def test_a_watched_folder_that_is_not_there_is_no_quiet_day(self, intake: Intake, watched: Path, settings: Settings) -> None:
        shutil.rmtree(watched)
        with pytest.raises(ScanUnreadable, match=r"The watched folder .*/spot/raw is not there"):
            intake.look(settings, 10)

    def test_a_folder_that_cannot_be_looked_into_is_named_and_the_rest_goes_on(
        self, intake: Intake, put: Put, settings: Settings, watched: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put("closed/a.h5")
        put("open/b.h5")
        scandir = os.scandir

        def refuse(path: Any) -> Any:  # tests may run as root, whom no rights stop
            if str(path).endswith("closed"):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        _, refused = intake.look(settings, 10)
        assert [(r.path, r.waiting) for r in refused] == [("open/b.h5", True), ("closed", False)]
        assert "The folder closed cannot be looked into: Permission denied" in refused[1].error.sentence

    def test_a_location_that_is_not_mounted_cannot_be_watched(self, facility: Facility, ledger: Ledger) -> None:
        locations = {**facility.locations, "spot": facility.location("eagle_raw")}
        with pytest.raises(ConfigError, match="'spot' is not mounted here"):
            Intake(facility.model_copy(update={"locations": locations}), ledger, BL832)


HOSTILE = [
    "with spaces.h5",
    'it\'s "quoted".h5',
    "a;rm -rf ~.h5",
    "$(touch owned).h5",
    "`id`.h5",
    "a|b.h5",
    "a,b.h5",
    "*?[x].h5",
    "-rf.h5",
    "~.h5",
    "ümlaut 日本語 🙂.h5",
    "e\u0301 combined.h5",
    "a..h5.h5",
    "back\\slash.h5",
    "%2e%2e%2f.h5",
    "CON.h5",
    "x" * 246 + ".h5",
    "é" * 120 + ".h5",
]


class TestHostileNames:
    def test_each_is_admitted_under_a_harmless_key(self, watched: Path, put: Put, settled: Any, ledger: Ledger) -> None:
        for name in HOSTILE:
            put(f"dla-00847_doe/{name}")
        keys, refused = settled()
        assert refused == {} and len(set(keys)) == len(HOSTILE)
        for key in keys:
            assert KEY_PATTERN.fullmatch(key) and len(key) <= 200
            assert (watched / ledger.datasets.get(key).raw_path).is_file(), "the original name is kept"
            assert ledger.replicas.of(key)[0].path == ledger.datasets.get(key).raw_path
        assert {ledger.datasets.get(key).file_name for key in keys} == set(HOSTILE)
        assert original_stem(next(k for k in keys if "touch" in k)) == "$(touch owned)"

    @pytest.mark.parametrize("folder", ["a b;$(id)", "é-00001_x", "deep/er/still", "-rf"])
    def test_hostile_folders_too(self, put: Put, settled: Any, ledger: Ledger, folder: str) -> None:
        put(f"{folder}/sand.h5")
        assert settled() == (["sand"], {}) and ledger.datasets.get("sand").folder == folder

    @pytest.mark.parametrize("name", [b"f/caf\xe9.h5", b"f\xff/sand.h5"])
    def test_what_is_not_utf8_is_refused_by_name_and_stops_nothing(
        self, intake: Intake, put: Put, settled: Any, settings: Settings, ledger: Ledger, name: bytes
    ) -> None:
        put(name)
        put("g/good.h5")
        intake.look(settings, 10)
        admitted, refused = settled_again(intake, settings, ledger)
        text = name.decode("utf-8", "backslashreplace")
        assert admitted == ["good"] and list(refused) == [text]
        assert refused[text].sentence == f"The name of the file {text} is not UTF-8." and "Rename it" in refused[text].next_step
        assert [s.problem for s in ledger.sightings.list()] == [refused[text].sentence]

    @pytest.mark.parametrize("name", ["f/a\nb.h5", "f/tab\t.h5", "f\r/a.h5", "f/\x1b[31m.h5"])
    def test_control_characters_are_refused_at_the_door(self, put: Put, settled: Any, ledger: Ledger, name: str) -> None:
        """No mover would take such a path later."""
        put(name)
        put("g/good.h5")
        admitted, refused = settled()
        assert admitted == ["good"] and type(refused[name]) is PathOutsideLocation
        assert "control characters" in refused[name].sentence and ledger.sightings.list()[0].problem

    def test_a_link_is_refused(self, watched: Path, put: Put, settled: Any, tmp_path: Path, complete_scan: Path) -> None:
        put("f/good.h5")
        (watched / "f" / "outside.h5").symlink_to(complete_scan)
        (watched / "f" / "twin.h5").symlink_to(watched / "f" / "good.h5")
        admitted, refused = settled()
        assert admitted == ["good"] and set(refused) == {"f/outside.h5", "f/twin.h5"}
        assert all("reached through a link" in error.sentence for error in refused.values())

    def test_a_link_that_leads_nowhere_is_named(self, watched: Path, settled: Any) -> None:
        (watched / "dangling.h5").symlink_to("/nowhere/at/all.h5")
        _, refused = settled()
        assert type(refused["dangling.h5"]) is ScanUnreadable


def settled_again(intake: Intake, settings: Settings, ledger: Ledger) -> tuple[list[str], dict[str, Any]]:
    clock = ledger.clock
    assert isinstance(clock, Clock)
    clock.turn(seconds=settings.quiet_s)
    admitted, refused = intake.look(settings, 100)
    return [d.key for d in admitted], {r.path: r.error for r in refused}


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
        put(edit=BROKEN["truncated"][0])
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
