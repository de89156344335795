"""Names from outside are hostile: they become harmless keys, or are refused by name.

Here: file and folder names, and links. Not here: what is in the files (``test_broken_files``).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from intake_kit import Put, Settled

from als_assets.beamlines.keys import KEY_PATTERN, original_stem
from als_assets.errors import PathOutsideLocation, ScanUnreadable
from als_assets.ledger import Ledger

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
    def test_each_is_admitted_under_a_harmless_key(self, watched: Path, put: Put, settled: Settled, ledger: Ledger) -> None:
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
    def test_hostile_folders_too(self, put: Put, settled: Settled, ledger: Ledger, folder: str) -> None:
        put(f"{folder}/sand.h5")
        assert settled() == (["sand"], {}) and ledger.datasets.get("sand").folder == folder

    @pytest.mark.parametrize("name", [b"f/caf\xe9.h5", b"f\xff/sand.h5"])
    def test_what_is_not_utf8_is_refused_by_name_and_stops_nothing(self, put: Put, settled: Settled, ledger: Ledger, name: bytes) -> None:
        put(name)
        put("g/good.h5")
        admitted, refused = settled()
        text = name.decode("utf-8", "backslashreplace")
        assert admitted == ["good"] and list(refused) == [text]
        assert refused[text].sentence == f"The name of the file {text} is not UTF-8." and "Rename it" in refused[text].next_step
        assert [s.problem for s in ledger.sightings.list()] == [refused[text].sentence]

    @pytest.mark.parametrize("name", ["f/a\nb.h5", "f/tab\t.h5", "f\r/a.h5", "f/\x1b[31m.h5"])
    def test_control_characters_are_refused_at_the_door(self, put: Put, settled: Settled, ledger: Ledger, name: str) -> None:
        """No mover would take such a path later."""
        put(name)
        put("g/good.h5")
        admitted, refused = settled()
        assert admitted == ["good"] and type(refused[name]) is PathOutsideLocation
        assert "control characters" in refused[name].sentence and ledger.sightings.list()[0].problem

    def test_a_link_is_refused(self, watched: Path, put: Put, settled: Settled, tmp_path: Path, complete_scan: Path) -> None:
        put("f/good.h5")
        (watched / "f" / "outside.h5").symlink_to(complete_scan)
        (watched / "f" / "twin.h5").symlink_to(watched / "f" / "good.h5")
        admitted, refused = settled()
        assert admitted == ["good"] and set(refused) == {"f/outside.h5", "f/twin.h5"}
        assert all("reached through a link" in error.sentence for error in refused.values())

    def test_a_link_that_leads_nowhere_is_named(self, watched: Path, settled: Settled) -> None:
        (watched / "dangling.h5").symlink_to("/nowhere/at/all.h5")
        _, refused = settled()
        assert type(refused["dangling.h5"]) is ScanUnreadable
