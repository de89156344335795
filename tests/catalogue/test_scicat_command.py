"""``als scicat`` on a facility file with nothing but SciCat in it: try the server, record one scan, look at it.

Here: the commands in this process. Not here: ``reconcile`` as such (``test_reconcile``), and what differs between backends
(``test_real_server``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import typer
import yaml
from catalogue_world import FOLDER, world_in
from typer.testing import CliRunner, Result

from als_assets.cli import app
from als_assets.errors import AlsError, ConfigError, ExportRefused, RecordInvalid, ScanNotHdf5, ScanUnreadable, SecretUnavailable
from als_assets.simulator.config import ScicatConfig, ScicatUser, SimulatorConfig
from als_assets.simulator.detector import synthetic_scan
from als_assets.simulator.server import Simulator

PASSWORD = "correct horse battery"
Als = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A SciCat with an ingest account, an archive account, an admin, and one that may do nothing."""
    users = {
        "ingestor": ScicatUser(password=PASSWORD, groups=["als_ingest"]),
        "archiver": ScicatUser(password=PASSWORD, groups=["archivemanager"]),
        "boss": ScicatUser(password=PASSWORD, groups=["admin", "archivemanager"], admin=True),
        "nobody": ScicatUser(password=PASSWORD, groups=["users"]),
    }
    config = ScicatConfig(
        users=users,
        create_groups=["als_ingest"],
        lifecycle_groups=["archivemanager"],
        delete_groups=["archivemanager"],
    )
    state = tmp_path_factory.mktemp("scicat")
    with Simulator(SimulatorConfig(state_dir=state, scicat=config)) as simulator:
        yield simulator


@pytest.fixture
def facility(server: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the smallest facility file there is: an address, and an account whose name and password are in variables."""
    monkeypatch.setenv("SCICAT_PASSWORD", PASSWORD)

    def write(ingest: str = "ingestor", lifecycle: str | None = "boss", **more: Any) -> Path:
        identities: dict[str, Any] = {}
        scicat: dict[str, Any] = {"api_url": f"{server.url}/api/v3", "frontend_url": "https://scicat.example.org", "identity": "ingest"}
        for role, user in (("ingest", ingest), ("archive", lifecycle)):
            if user is not None:
                monkeypatch.setenv(f"SCICAT_{role.upper()}", user)
                identities[role] = {
                    "kind": "scicat",
                    "username": {"env": f"SCICAT_{role.upper()}"},
                    "password": {"env": "SCICAT_PASSWORD"},
                }
        if lifecycle is not None:
            scicat["lifecycle_identity"] = "archive"
        path = tmp_path / "facility.yaml"
        path.write_text(yaml.safe_dump({"scicat": scicat, "identities": identities, **more}))
        return path

    return write


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "raw" / FOLDER / "sand_01.h5"
    path.parent.mkdir(parents=True)
    synthetic_scan(path, rows=4, columns=32, angles=5)
    return path


def als(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["scicat", *map(str, arguments)])
    if isinstance(result.exception, AlsError):
        raise result.exception
    if result.exception is not None and not isinstance(result.exception, (SystemExit, typer.Exit)):
        raise result.exception
    return result


# --- check -------------------------------------------------------------------------------------------------------------


def test_everything_is_there(server: Simulator, facility: Callable[..., Path]) -> None:
    before = server.control.records()
    result = als("check", "--facility", facility())
    assert result.exit_code == 0, result.output
    assert "version 5.2 or newer" in result.output
    assert "ingest: ingestor in als_ingest, logged in" in result.output
    assert "lifecycle: boss in admin, archivemanager, logged in" in result.output
    for right in ("create", "read back", "lifecycle", "change", "delete"):
        assert f"  {right}: yes" in result.output
    assert server.control.records() == before, "the test record is gone again"
    assert PASSWORD not in result.output


@pytest.mark.parametrize(
    ("accounts", "missing"),
    [
        ({"ingest": "nobody"}, ["ingest (nobody): create - SciCat must list"]),
        ({"lifecycle": "archiver"}, ["lifecycle (archiver): change - "]),
        ({"lifecycle": None}, ["ingest (ingestor): lifecycle - ", "ingest (ingestor): change - "]),
        ({"ingest": "unheard-of"}, ["ingest (unheard-of): log in - SciCat would not log in unheard-of"]),
        ({"lifecycle": "unheard-of"}, ["lifecycle (unheard-of): log in"]),
    ],
)
def test_what_is_missing_is_said_in_words(facility: Callable[..., Path], accounts: dict[str, Any], missing: list[str]) -> None:
    result = als("check", "--facility", facility(**accounts))
    assert result.exit_code == 1
    said = [line for line in result.output.splitlines() if line.startswith("Missing: ")]
    assert len(said) == len(missing)
    for line, words in zip(said, missing, strict=True):
        assert words in line


def test_an_account_outside_of_its_own_group_cannot_read_back(server: Simulator, facility: Callable[..., Path]) -> None:
    path = facility()
    document = yaml.safe_load(path.read_text())
    document["scicat"]["ingest_group"] = "another"
    path.write_text(yaml.safe_dump(document))
    result = als("check", "--facility", path)
    assert "read back: no" in result.output


def test_without_the_right_to_delete_the_test_record_is_used_again(server: Simulator, facility: Callable[..., Path]) -> None:
    path = facility(lifecycle=None)
    for _ in range(2):
        assert als("check", "--facility", path, "--json").exit_code == 1
    left = [item for item in server.control.records() if item["datasetName"] == "als-assets-check"]
    assert len(left) == 1
    assert left[0]["ownerGroup"] == "als-assets-check"
    als("check", "--facility", facility())
    assert not [item for item in server.control.records() if item["datasetName"] == "als-assets-check"]


@pytest.mark.parametrize(("prefix", "fits"), [("als", True), ("20.500.11935", False)])
def test_a_sites_rule_for_identifiers_is_met_or_told(
    tmp_path: Path, facility: Callable[..., Path], scan: Path, prefix: str, fits: bool
) -> None:
    users = {name: ScicatUser(password=PASSWORD, groups=["als_ingest"], admin=name == "boss") for name in ("ingestor", "boss")}
    rule = f"^{re.escape(prefix)}/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$"
    config = ScicatConfig(users=users, create_groups=["als_ingest"], pid_pattern=rule)
    with Simulator(SimulatorConfig(state_dir=tmp_path / "strict", scicat=config)) as strict:
        path = facility()
        document = yaml.safe_load(path.read_text())
        document["scicat"]["api_url"] = f"{strict.url}/api/v3"
        path.write_text(yaml.safe_dump(document))
        checked = als("check", "--facility", path)
        assert checked.exit_code == (0 if fits else 1), checked.output
        assert ("create - SciCat would not validate a record: PID is not following required standards (400)" in checked.output) is not fits
        if fits:
            assert als("ingest", scan, "--facility", path).exit_code == 0
        else:
            with pytest.raises(RecordInvalid, match="PID is not following"):
                als("ingest", scan, "--facility", path)


def test_read_only_writes_nothing_and_leaves_open_what_it_cannot_learn(server: Simulator, facility: Callable[..., Path]) -> None:
    asked, path = len(server.control.requests()), facility()
    result = als("check", "--facility", path, "--read-only", "--json")
    report = json.loads(result.output)
    assert [right["name"] for account in report["accounts"] for right in account["rights"]] == ["create"]
    written = {(r["method"], r["path"]) for r in server.control.requests()[asked:] if r["method"] != "GET"}
    assert written <= {("POST", p) for p in ("/api/v3/auth/login", "/api/v3/datasets/isValid")}


def test_a_server_that_is_not_there_is_said_so(facility: Callable[..., Path]) -> None:
    path = facility()
    document = yaml.safe_load(path.read_text())
    document["scicat"]["api_url"] = "http://127.0.0.1:9/api/v3"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(AlsError, match="did not answer"):
        als("check", "--facility", path)


# --- ingest and show ---------------------------------------------------------------------------------------------------


def test_a_scan_is_recorded_once_and_shown(server: Simulator, facility: Callable[..., Path], scan: Path) -> None:
    path = facility()
    first = json.loads(als("ingest", scan, "--facility", path, "--json").output)
    assert (first["created"], first["files"], first["attachments"]) == (True, 1, 1)
    stored = next(item for item in server.control.records() if item["pid"] == first["pid"])
    assert (stored["size"], stored["numberOfFiles"]) == (scan.stat().st_size, 1)
    before = server.control.records()
    second = json.loads(als("ingest", scan, "--facility", path, "--json").output)
    assert (second["created"], second["patched"], second["files"], second["attachments"]) == (False, [], 0, 0)
    assert server.control.records() == before
    for key in ("sand_01", "sand_01.h5", first["pid"], scan):
        shown = als("show", key, "--facility", path)
        assert shown.exit_code == 0, key
        assert first["pid"] in shown.output
    (record,) = json.loads(als("show", "sand_01", "--facility", path, "--json").output)
    assert record["sourceFolder"] == str(scan.parent)
    assert als("show", "unheard-of", "--facility", path).exit_code == 1


def test_the_identifier_is_that_of_the_platform(tmp_path: Path, facility: Callable[..., Path]) -> None:
    """Recorded by hand or by the platform: the same record."""
    with world_in(tmp_path / "world") as world:
        world.scan("sand_by_hand")
        file = world.box.data832_raw / FOLDER / "sand_by_hand.h5"
        by_hand = json.loads(als("ingest", file, "--facility", facility(), "--json").output)
        assert by_hand["pid"] == world.raw("sand_by_hand").pid
        nested = json.loads(als("ingest", file, "--facility", facility(), "--below", file.parent, "--json").output)
        assert nested["pid"] != by_hand["pid"]


def test_users_see_the_folder_that_they_can_reach(server: Simulator, facility: Callable[..., Path], scan: Path) -> None:
    moved = scan.with_name("elsewhere.h5")
    scan.rename(moved)
    made = als("ingest", moved, "--facility", facility(), "--source-folder", "/global/cfs/raw")
    assert made.exit_code == 0
    assert "Created: als/" in made.output
    assert "https://scicat.example.org/datasets/als%2F" in made.output
    assert any(item["sourceFolder"] == "/global/cfs/raw" for item in server.control.records())


def test_a_file_that_is_no_complete_scan_has_a_record_with_a_warning(facility: Callable[..., Path], scan: Path) -> None:
    path = scan.with_name("bare.h5")
    with h5py.File(path, "w") as file:
        file["/measurement/sample/experiment/proposal"] = b"ALS-00847"
        file["/measurement/instrument/detector/pixel_size"] = float("nan")
    made = als("ingest", path, "--facility", facility(), "--json")
    warnings = " ".join(json.loads(made.output)["warnings"])
    assert "cannot be reconstructed as it is" in warnings
    assert "There is no picture 'projection'" in warnings


@pytest.mark.parametrize(("content", "error"), [(None, ScanUnreadable), (b"no scan", ScanNotHdf5)])
def test_what_is_no_scan_is_an_error_before_anything_is_sent(
    server: Simulator, facility: Callable[..., Path], scan: Path, content: bytes | None, error: type[AlsError]
) -> None:
    path = scan.with_name("broken.h5")
    if content is not None:
        path.write_bytes(content)
    asked = len(server.control.requests())
    with pytest.raises(error):
        als("ingest", path, "--facility", facility())
    assert len(server.control.requests()) == asked


def test_wrong_use_is_said(facility: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'bl999' is not known"):
        als("ingest", scan, "--facility", facility(), "--beamline", "bl999")
    with pytest.raises(ConfigError, match="is not below"):
        als("ingest", scan, "--facility", facility(), "--below", tmp_path / "raw" / "other")


# --- the gate ----------------------------------------------------------------------------------------------------------


def unknown_proposal(scan: Path, name: str) -> Path:
    path = scan.with_name(name)
    with h5py.File(path, "w") as file:
        file["/measurement/sample/file_name"] = name.encode()
    return path


def test_a_scan_of_an_unknown_proposal_stays_until_somebody_says_why(server: Simulator, facility: Callable[..., Path], scan: Path) -> None:
    path, asked = unknown_proposal(scan, "unknown.h5"), len(server.control.requests())
    with pytest.raises(ExportRefused, match="unknown stays") as caught:
        als("ingest", path, "--facility", facility())
    assert "--may-leave" in caught.value.next_step
    assert len(server.control.requests()) == asked
    assert als("ingest", path, "--facility", facility(), "--may-leave", "a test pattern").exit_code == 0


def test_on_the_premises_nothing_leaves(facility: Callable[..., Path], scan: Path) -> None:
    path = facility(sites={"scicat": {"on_premises": True}})
    assert als("ingest", unknown_proposal(scan, "inside.h5"), "--facility", path).exit_code == 0


def test_export_rules_win_over_the_command_line(facility: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    (tmp_path / "bl832.yaml").write_text(yaml.safe_dump({"export_control": {"names": ["secret*"]}}))
    path = facility(beamlines={"bl832": {"settings": "bl832.yaml"}})
    with pytest.raises(ExportRefused, match="export control pattern"):
        als("ingest", unknown_proposal(scan, "secret_1.h5"), "--facility", path, "--may-leave", "I say so")


def test_the_record_of_scans_is_asked_where_there_is_one(tmp_path: Path, facility: Callable[..., Path]) -> None:
    with world_in(tmp_path / "world") as world:
        world.scan("flagged_scan", may_leave=False)
        file = world.box.data832_raw / FOLDER / "flagged_scan.h5"
        path = facility(state_dir=str(world.parts.facility.state_dir))
        with pytest.raises(ExportRefused, match="a test"):
            als("ingest", file, "--facility", path, "--may-leave", "I say so")


# --- the file ----------------------------------------------------------------------------------------------------------


def test_a_wrong_file_is_told_with_its_reason(facility: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = facility()
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**document, "scicat": {**document["scicat"], "identity": "nobody_here"}}))
    with pytest.raises(ConfigError, match=r"scicat\.identity: 'nobody_here' is no identity"):
        als("check", "--facility", path)
    path.write_text(yaml.safe_dump({**document, "scicat": {**document["scicat"], "api_uri": "x"}}))
    with pytest.raises(ConfigError, match=r"line \d+: scicat.api_uri"):
        als("check", "--facility", path)
    monkeypatch.delenv("SCICAT_PASSWORD")
    path = facility()
    monkeypatch.delenv("SCICAT_PASSWORD", raising=False)
    with pytest.raises(SecretUnavailable, match="SCICAT_PASSWORD"):
        als("check", "--facility", path)


def test_the_file_in_the_manual_is_right(server: Simulator, tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page for operators shows a file to start with: it is read from there, pointed at this server, and used."""
    page = (Path(__file__).parents[2] / "docs" / "operators" / "scicat.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    assert "http://localhost:3000" in text
    path = tmp_path / "test-server.yaml"
    path.write_text(text.replace("http://localhost:3000", server.url))
    for name, value in (("SCICAT_USER", "ingestor"), ("SCICAT_PASSWORD", PASSWORD), ("SCICAT_ARCHIVE_USER", "boss")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SCICAT_ARCHIVE_PASSWORD", PASSWORD)
    path.write_text(path.read_text().replace("ingest_group: ingestor", "ingest_group: als_ingest"))
    assert als("check", "--facility", path).exit_code == 0
    assert als("ingest", scan, "--facility", path).exit_code == 0
    assert als("show", scan, "--facility", path).exit_code == 0


# --- reconcile ---------------------------------------------------------------------------------------------------------


def test_reconcile_tells_and_repairs(tmp_path: Path) -> None:
    with world_in(tmp_path / "world") as world:
        world.scan("left_out")
        file = world.box.facility_file
        told = als("reconcile", "--facility", file)
        assert told.exit_code == 1
        assert "no record in SciCat: The scan left_out" in told.output
        assert json.loads(als("reconcile", "--facility", file, "--json").output)[0]["repairable"] is True
        done = als("reconcile", "--facility", file, "--apply")
        assert done.exit_code == 0, done.output
        assert "agree" in done.output
        assert als("reconcile", "--facility", file).exit_code == 0
