"""Parameters: bounds, help, order of sources, and refusals that name the key.

Here: promises of parameters.py. What belongs here is anything about values. Not here: what they do to images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from als_assets.recon.errors import BadParameters, InputUnreadable
from als_assets.recon.parameter_help import markdown_table, parameter_help
from als_assets.recon.parameters import Parameters, load_yaml, resolve


def test_every_parameter_has_help_and_the_schema_lists_it_for_a_form() -> None:
    properties = Parameters.model_json_schema()["properties"]
    assert set(properties) == set(Parameters.model_fields)
    assert all(len(entry["description"]) > 20 for entry in properties.values())


def test_later_sources_win_and_are_recorded() -> None:
    resolved = resolve({"filter": "hann", "mask_ratio": "0.5"}, {"filter": "parzen", "filter_order": 3}, {"center": 12.5})
    assert resolved.parameters.filter == "parzen"
    assert resolved.parameters.mask_ratio == 0.5
    assert resolved.parameters.center == 12.5
    assert resolved.sources["filter"] == "parameters file"
    assert resolved.sources["mask_ratio"] == "scan file"
    assert resolved.sources["center"] == "command line"
    assert resolved.sources["padding"] == "default"
    assert resolved.ignored == {}


def test_the_four_sources_in_their_order() -> None:
    scan, settings, run, command = ({"ring_size": str(n)} for n in (5, 7, 9, 11))
    assert resolve(scan, {}, {}).parameters.ring_size == 5
    resolved = resolve(scan, {}, {}, settings)
    assert (resolved.parameters.ring_size, resolved.sources["ring_size"]) == (7, "settings")
    assert resolve(scan, run, {}, settings).parameters.ring_size == 9
    assert resolve(scan, run, command, settings).sources["ring_size"] == "command line"


def test_wishes_in_the_scan_that_are_not_understood_are_ignored_and_listed() -> None:
    resolved = resolve({"phase_filter": "born", "ring_removal_method": "fw", "filter": "sharpest"}, {}, {})
    assert resolved.parameters.ring_removal == "fourier-wavelet"
    assert resolved.parameters.filter == "ramp"
    assert resolved.ignored == {"phase_filter": "born", "filter": "sharpest"}


@pytest.mark.parametrize(
    ("wishes", "meant"),
    [
        ({"ring_removal_method": "Ti"}, {"ring_removal": "titarenko"}),
        ({"ring_removal_method": "vo"}, {"ring_removal": "all-stripes"}),
        ({"remove_outliers": "true"}, {"outlier_2d": 750}),
        ({"remove_outliers": "300"}, {"outlier_2d": 300}),
        ({"phase_filt": "Paganin"}, {"phase_retrieval": "paganin"}),
        ({"delta": "1e-6", "beta": "2e-9"}, {"phase_delta_beta": 500}),
        ({"output_type": "8-bit integer"}, {"output_bits": 8}),
        ({"output_scaling_min_value": "-3", "output_scaling_max_value": "12.5"}, {"output_min": -3, "output_max": 12.5}),
        ({"cor": "640.25", "filter_name": "Butter"}, {"center": 640.25, "filter": "butterworth"}),
    ],
)
def test_what_the_control_program_writes_is_understood(wishes: dict[str, str], meant: dict[str, Any]) -> None:
    resolved = resolve(wishes, {}, {})
    assert resolved.parameters == Parameters(**meant)
    assert resolved.ignored == {}
    assert {key for key, source in resolved.sources.items() if source == "scan file"} == set(meant)


@pytest.mark.parametrize(
    "wishes",
    [
        {"delta": "1", "beta": "0"},
        {"delta": "one", "beta": "2"},
        {"delta": "1e-6"},
        {"output_scaling_min_value": "20", "output_scaling_max_value": "10"},
    ],
)
def test_wishes_that_make_no_sense_together_are_ignored_together(wishes: dict[str, str]) -> None:
    resolved = resolve(wishes, {}, {})
    assert resolved.parameters == Parameters()
    assert resolved.ignored == wishes


def test_an_empty_range_of_values_is_refused() -> None:
    with pytest.raises(BadParameters, match=r"output_max = 1\.0 is not above output_min = 1\.0"):
        resolve({}, {"output_min": 1, "output_max": 1}, {})


def test_forms_get_kind_unit_bounds_and_choices_of_everything() -> None:
    shown = {entry.name: entry for entry in parameter_help()}
    assert list(shown) == list(Parameters.model_fields)
    assert shown["center"].kind == "string|number"
    assert (shown["center"].unit, shown["center"].bounds) == ("pixels", "at least -10000, at most 100000")
    assert "overlap" in shown["center"].choices
    assert shown["output_bits"].choices == (8, 16, 32)
    assert (shown["tilt_deg"].unit, shown["tilt_deg"].bounds) == ("degrees", "at least -10, at most 10")
    assert (shown["stitch_360"].kind, shown["stitch_360"].default) == ("boolean", False)
    assert shown["energy_kev"].default is None
    assert all(entry.choices or entry.bounds for entry in shown.values())


def test_the_page_is_what_the_program_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "staff" / "parameters.md").read_text(encoding="utf-8")
    assert markdown_table() in page


@pytest.mark.parametrize(
    ("given_values", "key"),
    [
        ({"fliter": "ramp"}, "fliter"),
        ({"mask_ratio": 1.5}, "mask_ratio"),
        ({"transmission_floor": 0}, "transmission_floor"),
        ({"center": "middle"}, "center"),
        ({"center": float("nan")}, "center"),
        ({"ring_wavelet": "db99"}, "ring_wavelet"),
        ({"pixel_size_mm": -1}, "pixel_size_mm"),
    ],
)
def test_what_people_write_wrongly_is_refused_by_name(given_values: dict[str, Any], key: str) -> None:
    with pytest.raises(BadParameters) as caught:
        resolve({}, given_values, {})
    assert f"Parameter {key} " in caught.value.sentence
    assert "ring_removal" in caught.value.next_step


def test_parameters_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        Parameters().filter = "hann"  # type: ignore[misc]


@given(st.floats(-10_000, 100_000) | st.sampled_from(["auto", "pc", "vo"]))
def test_every_legal_centre_survives_a_round_trip(center: float | str) -> None:
    dumped = resolve({}, {"center": center}, {}).parameters.model_dump()
    assert Parameters.model_validate(dumped).center == center


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=5))
def test_no_text_in_a_scan_can_stop_the_reconstruction(wishes: dict[str, str]) -> None:
    resolved = resolve(wishes, {}, {})
    assert set(resolved.ignored) <= set(wishes)


def test_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("filter: hann\ncenter: 7\n", encoding="utf-8")
    assert load_yaml(path) == {"filter": "hann", "center": 7}
    path.write_text("", encoding="utf-8")
    assert load_yaml(path) == {}


@pytest.mark.parametrize("content", ["- a\n- b\n", "text", "a: [1\n"])
def test_yaml_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadParameters, match=r"p\.yaml"):
        load_yaml(path)


def test_a_missing_or_binary_parameters_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable):
        load_yaml(tmp_path / "absent.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputUnreadable):
        load_yaml(tmp_path / "b.yaml")
