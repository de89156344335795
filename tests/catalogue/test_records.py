"""What SciCat is told. Here: field by field, against the published request models, for any metadata. Not here: sending."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import catalogue_oracle as oracle
import numpy as np
import pytest
from catalogue_samples import FOLDER, METADATA, MOMENT, SETTINGS, around, derived, entry, extract, identity, product, raw
from hypothesis import given
from hypothesis import strategies as st

from als_assets import __version__
from als_assets.beamlines.bl832 import layout
from als_assets.catalogue.ensure import _data_file
from als_assets.catalogue.model import Copy, derived_pid, raw_pid
from als_assets.catalogue.records import MAX_LOG, derived_record, raw_record


def without(*paths: str) -> dict[str, object]:
    return {path: value for path, value in METADATA.items() if path not in paths}


def test_a_clean_scan_gives_a_clean_record() -> None:
    record = raw()
    assert record.issues == ()
    assert record.dataset_key == "20260302_103000_sand_x10"
    body = record.body()
    scientific = body.pop("scientificMetadata")
    assert body == {
        "pid": record.pid,
        "type": "raw",
        "datasetName": "20260302_103000_sand_x10",
        "description": "sand x10",
        "keywords": ["sand", "x10", "tomography", "8.3.2"],
        "owner": "Jane Doe",
        "principalInvestigator": "Jane Doe",
        "ownerGroup": "ALS-00847",
        "accessGroups": ["8.3.2", "ingestor"],
        "contactEmail": "jane@lbl.gov",
        "proposalId": "ALS-00847",
        "creationLocation": "micro-tomography",
        "creationTime": "2026-03-02T18:30:00.000Z",
        "dataFormat": SETTINGS.data_format,
        "sourceFolder": f"/global/cfs/cdirs/als/data_mover/8.3.2/raw/{FOLDER}",
        "techniques": [{"pid": "PaNET01108", "name": "x-ray tomography"}],
        "isPublished": False,
    }
    assert scientific == {
        layout.INSTRUMENT_NAME: "micro-tomography",
        layout.PIXEL_SIZE: {"value": 0.00325, "unit": "mm"},
        layout.NUM_ANGLES: 1313,
        f"{layout.DETECTOR}/model": "PCO.edge",
        "geometry": {"projections": 1313, "rows": 1266, "columns": 2560, "flat_fields": 10, "dark_fields": 5},
        "data_sample": {layout.ENERGY: {"values": [20000.0, 20000.5], "unit": "eV"}},
    }


def test_the_published_models_accept_raw_and_derived() -> None:
    for record in (raw(), derived(), raw(metadata={})):
        oracle.accept_dataset(record.body())
        assert record.errors == ()


def test_the_title_is_the_description_where_there_is_one() -> None:
    assert raw({**METADATA, layout.TITLE: "Sand under load"}).dataset.description == "Sand under load"


@pytest.mark.parametrize("proposal", ["None", "", "NA", "two words", 3.0, None, "$x"])
def test_without_a_usable_proposal_the_staff_own_the_record(proposal: object) -> None:
    metadata = {**METADATA, layout.PROPOSAL: proposal}
    record = raw(metadata)
    body = record.body()
    assert body["ownerGroup"] == "8.3.2"
    assert "proposalId" not in body
    assert [issue.field for issue in record.warnings] == ["ownerGroup"]


def test_dirty_fields_are_cleaned_and_kept_as_written() -> None:
    dirty = {layout.PROPOSAL: " 'ALS-00847', ", layout.BEAMLINE: "['BL832', 'bl7.3.3']", layout.EMAIL: "a@b.org, c@d.org, x@localhost"}
    record = raw({**METADATA, **dirty})
    assert record.dataset.ownerGroup == "ALS-00847"
    assert record.dataset.accessGroups == ["8.3.2", "bl7.3.3", "ingestor"]
    assert record.dataset.contactEmail == "a@b.org; c@d.org"
    assert record.body()["scientificMetadata"]["as_written"] == {
        "proposal": dirty[layout.PROPOSAL],
        "beamline": dirty[layout.BEAMLINE],
        "email": dirty[layout.EMAIL],
    }
    oracle.accept_dataset(record.body())


@pytest.mark.parametrize("odd", [[], ["bl832"], 8.3, True, b"bl832"])
def test_an_odd_beamline_field_is_no_group(odd: object) -> None:
    assert raw({**METADATA, layout.BEAMLINE: odd}).dataset.accessGroups == ["8.3.2", "ingestor"]


def test_staff_always_see_the_record() -> None:
    assert raw(without(layout.BEAMLINE)).dataset.accessGroups == ["8.3.2", "ingestor"]


def test_an_empty_file_gives_fallbacks_and_says_so() -> None:
    record = raw(metadata={})
    body = record.body()
    assert body["owner"] == body["principalInvestigator"] == body["creationLocation"] == "Unknown"
    assert body["contactEmail"] == "unknown@example.com"
    assert body["datasetName"] == "20260302_103000_sand_x10"
    fields = {issue.field for issue in record.warnings}
    assert fields == {"ownerGroup", "contactEmail", "principalInvestigator", "creationLocation", "datasetName"}


def test_without_a_time_in_the_file_its_own_time_is_used() -> None:
    record = raw_record(SETTINGS, "bl832", identity(), extract(acquired_at=None), around())
    assert record.dataset.creationTime == "2026-03-02T18:30:00.000Z"
    assert [issue.field for issue in record.warnings] == ["creationTime"]


def test_warnings_of_the_scan_are_handed_on() -> None:
    scan = extract(warnings=("theta is odd",))
    record = raw_record(SETTINGS, "bl832", identity(folder="elsewhere"), scan, around())
    assert "theta is odd" in [issue.sentence for issue in record.warnings]
    assert any("elsewhere" in issue.sentence for issue in record.warnings)


def test_values_that_are_no_numbers_are_left_out() -> None:
    record = raw({**METADATA, layout.PIXEL_SIZE: float("nan"), f"{layout.DETECTOR}/temperature": float("inf")})
    scientific = record.body()["scientificMetadata"]
    assert layout.PIXEL_SIZE not in scientific
    assert f"{layout.DETECTOR}/temperature" not in scientific
    assert len(record.warnings) == 2


def test_copies_and_links_are_recorded() -> None:
    copies = [Copy("nersc", "/global/cfs/x", "VERIFIED", MOMENT)]
    record = raw(copies=copies, links={"board": "https://board.example.org/scan/x"})
    scientific = record.body()["scientificMetadata"]
    assert scientific["locations"] == [
        {"site": "nersc", "path": "/global/cfs/x", "state": "VERIFIED", "checked_at": "2026-03-02T18:30:00.000Z"}
    ]
    assert scientific["board"] == "https://board.example.org/scan/x"


# --- identity ----------------------------------------------------------------------------------------------------------


def test_identifiers_never_change() -> None:
    """These values are in catalogues; a change would duplicate every record."""
    assert raw_pid("als", "bl832", PurePosixPath("a-00001_b/x.h5")) == "als/0d021a96-1f5c-56ba-9265-b3fd8c88f801"


def test_identifiers_follow_what_they_identify() -> None:
    assert raw().pid == raw(metadata={}).pid
    assert raw().pid != raw(stem="other").pid
    assert raw().pid != raw_pid("als", "bl733", identity().relative_path)
    assert derived().pid == derived(site="alcf", job_id="1", log=None).pid
    assert derived().pid != derived(parameters={"center": 1281.0}).pid
    assert derived().pid != derived(kind="segmentation").pid
    assert derived().pid != derived(raw(stem="other")).pid


def test_the_order_of_parameters_does_not_matter() -> None:
    assert derived_pid("als", "p", "k", {"a": 1, "b": {"c": 2, "d": 3}}) == derived_pid("als", "p", "k", {"b": {"d": 3, "c": 2}, "a": 1})


def test_a_file_name_that_is_no_utf8_gets_a_record() -> None:
    stem = b"scan\xff".decode("utf-8", "surrogateescape")
    record = raw(without(layout.FILE_NAME), stem=stem)
    assert record.errors == ()
    json.dumps(record.body(), ensure_ascii=False).encode("utf-8")
    record.file_blocks[0][0].path.encode("utf-8")
    assert record.pid != raw(stem="scan?").pid


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_folder": "relative/folder"}, "sourceFolder"),
        ({"source_folder": ""}, None),
        ({"files": []}, "files"),
        ({"files": [entry("/absolute.h5")]}, "files"),
        ({"files": [entry("../x.h5")]}, "files"),
        ({"files": [entry("")]}, "files"),
        ({"files": [entry("x", -1)]}, "files"),
        ({"files": [replace(entry(), modified_at=datetime(2026, 3, 2))]}, "files"),
    ],
)
def test_what_scicat_would_refuse_is_an_error_before_anything_is_sent(changes: dict[str, Any], field: str | None) -> None:
    assert [issue.field for issue in raw(**changes).errors] == ([field] if field else [])


def test_wrong_settings_are_errors() -> None:
    for changes, field in (({"pid_prefix": "a b"}, "pid"), ({"fallback_contact": "nobody"}, "contactEmail")):
        settings = replace(SETTINGS, **changes)
        record = raw_record(settings, "bl832", identity(), extract({}), around())
        assert [issue.field for issue in record.errors] == [field]


def test_a_record_that_scicat_cannot_store_is_an_error() -> None:
    huge = {f"/k{i}": ["x" * 16_000] * 100 for i in range(10)}
    assert [issue.field for issue in raw({**METADATA, **huge}).errors] == ["scientificMetadata"]


# --- derived -----------------------------------------------------------------------------------------------------------


def test_a_derived_record_belongs_to_its_raw_record() -> None:
    source, record = raw(), derived()
    body = record.body()
    assert record.dataset_key == source.dataset_key
    assert body["inputDatasets"] == [source.pid]
    for field in ("ownerGroup", "accessGroups", "owner", "contactEmail", "proposalId", "techniques"):
        assert body[field] == source.body()[field]
    assert body["investigator"] == "Jane Doe"
    assert body["type"] == "derived"
    assert body["keywords"] == ["sand", "x10", "tomography", "8.3.2", "reconstruction"]


def test_a_derived_record_says_how_it_was_made() -> None:
    body = derived().body()
    assert body["jobParameters"] == {"center": 1280.5, "ring_removal": {"method": "fw", "sigma": 3}}
    assert body["usedSoftware"][-1] == f"als-assets {__version__}"
    assert any("sha256" in software for software in body["usedSoftware"])
    assert body["jobLogData"] == "all is well\n"
    assert body["scientificMetadata"] == {
        "site": "nersc",
        "job_id": "4711",
        "viewer": "https://viewer.example.org/?zarr=x",
        "board": "https://board.example.org/scan/x",
    }
    assert [len(block) for block in derived().file_blocks] == [3, 1]


def test_long_logs_keep_their_end() -> None:
    record = derived(log="start" + "x" * MAX_LOG + "the reason")
    assert len(record.body()["jobLogData"]) == MAX_LOG
    assert record.body()["jobLogData"].endswith("the reason")
    assert [issue.field for issue in record.warnings] == ["jobLogData"]


def test_odd_parameters_are_cleaned() -> None:
    record = derived(parameters={"center": np.float64(3.5), "bad": float("nan"), "path": PurePosixPath("/a"), "none": None})
    assert record.body()["jobParameters"] == {"center": 3.5, "path": "/a"}


def test_no_derived_record_of_a_raw_record_with_errors() -> None:
    assert [issue.field for issue in derived(raw(files=[])).errors] == ["inputDatasets"]


def test_a_derived_record_without_files_is_an_error() -> None:
    assert [issue.field for issue in derived(file_blocks=[[], []]).errors] == ["files"]


def test_file_entries_satisfy_the_published_model() -> None:
    for record in (raw(), derived()):
        for block in record.file_blocks:
            files = [_data_file(item) for item in block]
            oracle.accept_files({"size": sum(item.size_bytes for item in block), "chkAlg": "sha256", "dataFileList": files})


# --- any metadata ------------------------------------------------------------------------------------------------------

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.emails())
values = st.one_of(
    scalars,
    st.lists(st.one_of(st.floats(), st.text(max_size=5)), max_size=20),
    st.lists(st.floats(), max_size=20).map(np.array),
    st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=1, max_size=3).map(np.array),
    st.floats(width=32).map(np.float32),
    st.sampled_from(["None", "'bl832',", "$(rm -rf /)", "a@b.org,c@d", "__proto__", "\0", "\ud800"]),
)
paths = st.one_of(st.sampled_from([field.path for field in layout.FIELDS]), st.text(max_size=20))


@given(st.dictionaries(paths, values, max_size=12), st.dictionaries(paths, st.text(max_size=50), max_size=3))
def test_any_metadata_gives_a_record_that_scicat_accepts(metadata: dict[str, object], units: dict[str, str]) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    scan = extract(metadata, units=units, acquired_at=moment)
    record = raw_record(SETTINGS, "bl832", identity(), scan, around())
    assert record.errors == ()
    oracle.accept_dataset(record.body())
    sent = json.dumps(record.body(), ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert json.loads(sent) == record.body()
    product_of_it = derived_record(SETTINGS, record, product(parameters=metadata))
    oracle.accept_dataset(product_of_it.body())
    json.dumps(product_of_it.body(), ensure_ascii=False, allow_nan=False).encode("utf-8")
