"""Odd values in scan files. Here: every shape and type a field can have. Not here: the checks that admit a scan."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from als_assets.beamlines.bl832 import BL832, layout
from als_assets.beamlines.bl832.values import MAX_TEXT, acquisition_time, plain, usable_text
from als_assets.errors import ScanError

Edit = Callable[[Callable[[h5py.File], object]], Path]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(2.5), 2.5),
        (np.int16(3), 3),
        (np.bool_(True), True),
        (np.bytes_(b" a \0"), "a"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        ("\udcff", "?"),
        (np.array([b"a", b"b"]), ["a", "b"]),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array(3.0), 3.0),
        (None, None),
        (1j, "1j"),
    ],
)
def test_plain(value: object, expected: object) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize("text", ["", "None", "none", " UNKNOWN ", "NA", "n/a", "null", "nan", 3, None, ["ALS-1"]])
def test_words_that_stand_for_nothing(text: object) -> None:
    assert usable_text(text) is None


def test_usable_text_is_trimmed() -> None:
    assert usable_text(" ALS-00847 ") == "ALS-00847"


EPOCH = 1_772_476_200.0
MOMENT = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "moment"),
    [
        ({layout.IMAGE_DATE: [0.0, EPOCH, EPOCH + 1]}, MOMENT),
        ({layout.IMAGE_DATE: EPOCH}, MOMENT),
        ({layout.TIME_STAMP: "2026-03-02T10:30:00-08:00"}, MOMENT),
        ({layout.START_DATE: "2026-03-02T18:30:00Z"}, MOMENT),
        ({layout.IMAGE_DATE: [0.0, float("nan"), 12.0], layout.START_DATE: "2026-03-02T18:30:00Z"}, MOMENT),
        ({layout.START_DATE: "yesterday"}, None),
        ({}, None),
    ],
    ids=["zero first", "one number", "offset", "utc", "fallback", "words", "nothing"],
)
def test_acquisition_time(values: dict[str, object], moment: datetime | None) -> None:
    warnings: list[str] = []
    assert acquisition_time(values, warnings) == moment
    assert warnings == []


def test_a_time_without_offset_is_the_time_in_berkeley() -> None:
    warnings: list[str] = []
    assert acquisition_time({layout.START_DATE: "2026-03-02 10:30:00"}, warnings) == MOMENT
    assert acquisition_time({layout.START_DATE: "2026-07-02 10:30:00"}, warnings) == datetime(2026, 7, 2, 17, 30, tzinfo=UTC)
    assert all("Berkeley" in warning for warning in warnings)
    assert len(warnings) == 2


def test_missing_catalogue_fields_are_warnings(edit: Edit) -> None:
    def strip(file: h5py.File) -> None:
        del file["/measurement/sample"]

    facts = BL832.inspect(edit(strip))
    assert facts.sample_name is None
    assert facts.proposal is None
    for path in (layout.PROPOSAL, layout.EMAIL, layout.FILE_NAME):
        assert f"{path} is missing" in facts.warnings


def test_placeholder_proposals_are_no_proposals(edit: Edit) -> None:
    def unknown(file: h5py.File) -> None:
        del file[layout.PROPOSAL]
        file[layout.PROPOSAL] = b"None"

    facts = BL832.inspect(edit(unknown))
    assert facts.proposal is None
    assert facts.metadata[layout.PROPOSAL] == "None"


def test_reconstruction_options_of_the_user_are_kept(edit: Edit) -> None:
    facts = BL832.inspect(edit(lambda file: file.__setitem__(f"{layout.RECON_OPTIONS}/ring_removal_method", b"vo")))
    assert facts.metadata[f"{layout.RECON_OPTIONS}/ring_removal_method"] == "vo"


def test_text_is_cut(edit: Edit) -> None:
    def long(file: h5py.File) -> None:
        del file[layout.TITLE]
        file[layout.TITLE] = b"x" * (MAX_TEXT + 1)

    facts = BL832.inspect(edit(long))
    assert facts.metadata[layout.TITLE] == "x" * MAX_TEXT
    assert any(f"{MAX_TEXT + 1} characters" in warning for warning in facts.warnings)


def _odd_datasets(file: h5py.File) -> None:
    odd = {
        layout.PI: np.void(b"opaque"),
        layout.EMAIL: h5py.Empty("f"),
        layout.EXPERIMENTER: np.array([b"a", b"b"]),
        layout.TITLE: np.zeros((0,)),
        layout.I0_CYCLE: np.zeros((3, 4)),
        layout.ENERGY: np.array(5.0),
        f"{layout.DETECTOR}/temperature": [np.nan],
    }
    for path, value in odd.items():
        del file[path]
        file[path] = value


def test_odd_values_are_warnings_never_errors(edit: Edit) -> None:
    facts = BL832.inspect(edit(_odd_datasets))
    for path in (layout.PI, layout.EMAIL, layout.EXPERIMENTER, layout.TITLE, layout.I0_CYCLE):
        assert any(path in warning for warning in facts.warnings), path
    assert layout.PI not in facts.metadata
    assert facts.metadata[layout.EXPERIMENTER] == ["a", "b"]
    assert facts.metadata[layout.ENERGY] == 5.0
    assert np.isnan(facts.metadata[f"{layout.DETECTOR}/temperature"])


def _time_dataset(file: h5py.File, path: str, shape: tuple[int, ...]) -> None:
    """A dataset of a type that numpy does not have."""
    if path in file:
        del file[path]
    create = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    create.set_create_intermediate_group(True)
    h5py.h5d.create(file.id, path.encode(), h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple(shape), lcpl=create)


def test_a_field_of_a_type_that_numpy_lacks_is_a_warning(edit: Edit) -> None:
    facts = BL832.inspect(edit(lambda file: _time_dataset(file, layout.PI, (1,))))
    assert any(layout.PI in warning and "left out" in warning for warning in facts.warnings)


def test_frames_of_a_type_that_numpy_lacks_are_an_error(edit: Edit) -> None:
    with pytest.raises(ScanError, match=r"sand\.h5"):
        BL832.inspect(edit(lambda file: _time_dataset(file, layout.WHITE, (3, 4, 6))))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), id="compound"),
        pytest.param(np.array([1 + 2j]), id="complex"),
        pytest.param(np.array(2, dtype=h5py.enum_dtype({"A": 1, "B": 2})), id="enum"),
        pytest.param(np.zeros((2, 3, 4, 5)), id="4-D"),
        pytest.param(np.array(h5py.Reference(), dtype=h5py.ref_dtype), id="reference"),
        pytest.param("x" * 100_000, id="long text"),
        pytest.param(np.float128(1.5) if hasattr(np, "float128") else 1.5, id="long double"),
        pytest.param(np.array([], dtype="S1"), id="empty"),
    ],
)
def test_any_type_of_value_leaves_the_scan_usable(edit: Edit, value: object) -> None:
    def put(file: h5py.File) -> None:
        for path in (layout.PI, layout.ENERGY, layout.I0_CYCLE, layout.IMAGE_DATE):
            del file[path]
            file[path] = value

    facts = BL832.inspect(edit(put))
    assert facts.projections == 12
    json.dumps(facts.metadata)


def test_links_that_lead_nowhere_count_as_missing(edit: Edit) -> None:
    def link(file: h5py.File) -> None:
        del file[layout.PI], file[layout.EMAIL]
        file[layout.PI] = h5py.SoftLink("/nowhere")
        file[layout.EMAIL] = h5py.SoftLink(layout.EMAIL)

    warnings = BL832.inspect(edit(link)).warnings
    assert f"{layout.PI} is missing" in warnings
    assert f"{layout.EMAIL} is missing" in warnings


def test_a_group_where_a_field_should_be_counts_as_missing(edit: Edit) -> None:
    def group(file: h5py.File) -> None:
        del file[layout.PI]
        file.create_group(layout.PI)

    assert f"{layout.PI} is missing" in BL832.inspect(edit(group)).warnings


hdf5_values = st.one_of(
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.binary(min_size=1, max_size=20).filter(lambda b: not b.endswith(b"\0")).map(np.bytes_),
    st.text(max_size=20).filter(lambda t: "\0" not in t),
    st.lists(st.floats(), max_size=30).map(np.array),
    st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=1, max_size=5).map(np.array),
)


@pytest.mark.parametrize("value", [1e300, -1e300, float("inf"), float("nan"), True])
def test_a_range_beyond_reason_is_replaced_by_the_angles(edit: Edit, value: float) -> None:
    def put(file: h5py.File) -> None:
        del file[layout.ANGLE_RANGE]
        file[layout.ANGLE_RANGE] = value

    facts = BL832.inspect(edit(put))
    assert facts.angle_range_deg == pytest.approx(180, rel=0.1)
    assert any(layout.ANGLE_RANGE in warning for warning in facts.warnings)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([field.path for field in layout.FIELDS]), hdf5_values, max_size=6))
def test_any_metadata_gives_plain_values(scan: Path, values: dict[str, object]) -> None:
    essential = {layout.NUM_ANGLES, layout.PIXEL_SIZE, layout.DIMENSION_X, layout.DIMENSION_Y}
    with h5py.File(scan, "r+") as file:
        for path, value in values.items():
            if path not in essential:
                if path in file:
                    del file[path]
                file[path] = value
    facts = BL832.inspect(scan)
    json.dumps(facts.metadata)
    assert facts.projections == 12
    assert all(isinstance(unit, str) for unit in facts.units.values())
