"""What a job may be called, and where it keeps its files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.compute.service import ComputeService, _job_name, _tiff_check, _zarr_check, variant_of
from als_assets.compute.spec import JobSpec, Step

HERE = PurePosixPath("/scratch")


def spec(name: str) -> JobSpec:
    return JobSpec(name, "key", "title", "als", (Step("s", ("true",)),), HERE / "out", HERE / "logs", 60)


@pytest.mark.parametrize("name", ["", "a b", "x;y", "../x", "a/b", "ü", "x" * 65, "a\n"])
def test_a_job_name_that_could_mean_something_to_a_shell_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a job name is made of"):
        spec(name)


def test_files_of_a_job_lie_in_its_log_folder_under_its_name() -> None:
    job = spec("als-rec-1")

    names = [job.result_path, job.parameters_path, job.stdout_path, job.stderr_path]

    assert [str(n) for n in names] == [f"/scratch/logs/als-rec-1.{end}" for end in ("result.json", "parameters.yaml", "out", "err")]


@given(st.text(alphabet="abcXYZ019_.-", min_size=1, max_size=200))
def test_names_made_for_any_dataset_are_legal_and_differ(key: str) -> None:
    first, second = _job_name("zarr", key), _job_name("zarr", key)

    assert spec(first).name != spec(second).name


def test_standard_parameters_have_no_variant() -> None:
    assert variant_of({}) == ""


PARAMETERS = st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=8)), min_size=1)


@given(PARAMETERS, PARAMETERS)
def test_variants_tell_parameters_apart_and_do_not_see_their_order(one: dict[str, Any], two: dict[str, Any]) -> None:
    turned = dict(reversed(list(one.items())))

    assert variant_of(one) == variant_of(turned)
    assert len(variant_of(one)) == 8
    assert (variant_of(one) == variant_of(two)) is (one == two and repr(sorted(one.items())) == repr(sorted(two.items())))


def test_variants_lie_beside_each_other() -> None:
    class Scan:
        key, folder = "20260102_x", "ALS-1_user"

    service = ComputeService.__new__(ComputeService)

    assert service.product_path(Scan(), "recon_tiff", "") == "ALS-1_user/rec20260102_x"  # type: ignore[arg-type]
    assert service.product_path(Scan(), "recon_zarr", "1a2b3c4d") == "ALS-1_user/1a2b3c4d/rec20260102_x.zarr"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (None, ["the folder is missing"]),
        ({"a.tiff": 1, "b.tiff": 1, "parameters.json": 2}, []),
        ({"a.tiff": 1, "parameters.json": 2}, ["1 slices instead of 2"]),
        ({"a.tiff": 1, "b.tiff": 1}, ["parameters.json is missing"]),
        ({"a.tiff": 1, "b.tiff": 0, "parameters.json": 2}, ["b.tiff is empty"]),
        ({}, ["0 slices instead of 2", "parameters.json is missing"]),
    ],
)
def test_what_is_wrong_with_a_stack(found: dict[str, int] | None, wrong: list[str]) -> None:
    assert _tiff_check(2)(found) == wrong


@pytest.mark.parametrize(
    ("found", "wrong"),
    [(None, ["the Zarr store is missing"]), ({}, ["the Zarr store is missing"]), ({"0/0": 1}, ["its metadata is missing"])]
    + [({name: 5, "0/0": 1}, []) for name in (".zattrs", "zarr.json")],
)
def test_what_is_wrong_with_a_store(found: dict[str, int] | None, wrong: list[str]) -> None:
    assert _zarr_check(found) == wrong
