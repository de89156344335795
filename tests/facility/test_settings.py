"""Settings that staff edit: in force when right, and the last good ones with the reason when not.

Here: reading, keeping, and classifying for export. Not here: what is decided from them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from als_assets.errors import ConfigError
from als_assets.facility.models import LocationClass
from als_assets.facility.settings import ExportControl, Settings, read_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bl832.yaml"
    path.write_text("quiet_s: 4\nsites: {nersc: false, als: true}\n")
    return path


class TestReading:
    def test_an_edit_is_in_force_at_the_next_look(self, file: Path, tmp_path: Path) -> None:
        first = read_settings(file, tmp_path / "keep")
        assert first.problem is None and first.settings.quiet_s == 4 and first.settings.sites == {"nersc": False, "als": True}
        file.write_text("quiet_s: 5\n")
        assert read_settings(file, tmp_path / "keep").settings.quiet_s == 5

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            ("quiet_s: -1\n", "line 1: quiet_s"),
            ("quiet: 1\n", "line 1: quiet"),
            ("steps:\n  preview: perhaps\n", "line 2: steps.preview"),
            ("retention:\n  rules:\n    attic: {min_age_days: 1}\n", "line 3: retention.rules.attic"),
            ("retention:\n  rules:\n    scratch: {}\n", "min_age_days"),
            ("retention:\n  rules:\n    scratch: {min_age_days: 1, verified_copies_elsewhere: 0}\n", "verified_copies_elsewhere"),
            ("steps: [\n", "not valid YAML"),
            ("", "must be a table of keys"),
            ("quiet_s: 1\nquiet_s: 2\n", "line 2: 'quiet_s' is written twice"),
        ],
    )
    def test_a_bad_edit_keeps_the_last_good_one_and_says_why(self, file: Path, tmp_path: Path, bad: str, reason: str) -> None:
        good = read_settings(file, tmp_path / "keep").settings
        file.write_text(bad)
        loaded = read_settings(file, tmp_path / "keep")
        assert loaded.settings == good
        assert loaded.problem is not None and reason in loaded.problem.sentence and str(file) in loaded.problem.sentence

    def test_a_removed_file_keeps_the_last_good_one(self, file: Path, tmp_path: Path) -> None:
        good = read_settings(file, tmp_path / "keep").settings
        file.unlink()
        loaded = read_settings(file, tmp_path / "keep")
        assert loaded.settings == good
        assert loaded.problem is not None and "cannot be read" in loaded.problem.sentence

    def test_a_mended_file_is_in_force_again(self, file: Path, tmp_path: Path) -> None:
        read_settings(file, tmp_path / "keep")
        file.write_text("quiet_s: x\n")
        read_settings(file, tmp_path / "keep")
        file.write_text("quiet_s: 7\n")
        loaded = read_settings(file, tmp_path / "keep")
        assert loaded.problem is None and loaded.settings.quiet_s == 7

    def test_a_bad_file_without_a_good_one_before_is_refused(self, file: Path, tmp_path: Path) -> None:
        file.write_text("quiet_s: x\n")
        with pytest.raises(ConfigError, match="line 1: quiet_s"):
            read_settings(file, tmp_path / "keep")

    def test_an_unchanged_file_is_not_kept_again(self, file: Path, tmp_path: Path) -> None:
        keep = tmp_path / "keep"
        read_settings(file, keep)
        before = (keep / "bl832.last-good.yaml").stat().st_mtime_ns
        read_settings(file, keep)
        assert [path.name for path in keep.iterdir()] == ["bl832.last-good.yaml"]
        assert (keep / "bl832.last-good.yaml").stat().st_mtime_ns == before

    def test_everything_survives_being_kept(self, tmp_path: Path) -> None:
        document = {
            "quiet_s": 3.5,
            "steps": {"preview": False},
            "sites": {"als": True},
            "reconstruction": {"sites": ["als"], "parameters": {"ring": 3, "center": "vo"}},
            "export_control": {"proposals": ["ALS-1"], "names": ["*secret*"], "unknown_proposal_stays": False},
            "retention": {"grace_hours": 1, "rules": {"staging": {"min_age_days": 2, "verified_copies_elsewhere": 2}}},
        }
        path = tmp_path / "bl832.yaml"
        path.write_text(yaml.safe_dump(document))
        good = read_settings(path, tmp_path / "keep").settings
        path.write_text("]")
        assert read_settings(path, tmp_path / "keep").settings == good
        assert good.retention.rules[LocationClass.STAGING].verified_copies_elsewhere == 2
        assert LocationClass.SCRATCH not in good.retention.rules


def test_defaults_prune_scratch_only_and_keep_unknown_at_home() -> None:
    settings = Settings()
    assert list(settings.retention.rules) == [LocationClass.SCRATCH]
    assert settings.retention.grace_hours > 0
    assert settings.export_control.unknown_proposal_stays


CONTROL = ExportControl(proposals=["ALS-99999"], names=["*_itar_*", "locked-*/*"])


@pytest.mark.parametrize(
    ("proposal", "file_name", "folder", "may_leave", "reason"),
    [
        ("ALS-1", "scan.h5", "dla-00001_a", True, "proposal ALS-1 is not under export control"),
        ("ALS-99999", "scan.h5", "dla-00001_a", False, "proposal ALS-99999 is under export control"),
        ("ALS-1", "x_itar_y.h5", "dla-00001_a", False, "'*_itar_*'"),
        ("ALS-1", "scan.h5", "locked-00001_a", False, "'locked-*/*'"),
        (None, "scan.h5", "dla", False, "its proposal is unknown, and unknown stays"),
        ("", "scan.h5", "dla", False, "its proposal is unknown, and unknown stays"),
    ],
)
def test_classification(proposal: str | None, file_name: str, folder: str, may_leave: bool, reason: str) -> None:
    release = CONTROL.classify(proposal=proposal, file_name=file_name, folder=folder)
    assert release.may_leave is may_leave and reason in release.reason


def test_unknown_leaves_only_where_staff_say_so() -> None:
    release = ExportControl(unknown_proposal_stays=False).classify(proposal=None, file_name="a.h5", folder="")
    assert release.may_leave and "unknown" in release.reason
