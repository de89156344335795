"""A facility file is right as a whole, or refused with file, line and reason.

Here: every kind of mistake in a file. Not here: the production file (``test_als``) and settings (``test_settings``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from facility_kit import COLLECTION, OTHER_COLLECTION, text

from als_assets.errors import ConfigError
from als_assets.facility import Facility, load_facility
from als_assets.facility.base import Strict
from als_assets.facility.load import load_model
from als_assets.facility.models import Image, LocationClass

Spoil = Callable[[str, str], ConfigError]
FAR_RAW = "root: /srv/far/raw"

# piece of the file, what is written instead, the text at the start of the line that is named, words of the reason
MISTAKES = [
    pytest.param("board_url:", "bord_url:", "bord_url:", ["bord_url", "Extra inputs"], id="misspelt key"),
    pytest.param("board_url: http://127.0.0.1:8832\n", "", "name:", ["board_url", "required"], id="missing key"),
    pytest.param("    prefix: raw", "    prefx: raw", "    prefx:", ["locations.spot.prefx"], id="misspelt key of a location"),
    pytest.param("      scratch: data_scratch", "      scrach: x", "      scrach:", ["scrach"], id="misspelt key behind a kind"),
    pytest.param(
        f"collection: {COLLECTION}", "collection: 75b478b2-37af", "    collection: 75b478b2-37af\n", ["eagle.collection", "UUID"], id="id"
    ),
    pytest.param(
        "    site: alcf\n    collection: " + COLLECTION, "    site: alcf", "  eagle:", ["eagle", "needs 'collection'"], id="no collection"
    ),
    pytest.param("class: archive", "class: attic", "    class: attic", ["eagle_raw.class"], id="unknown class"),
    pytest.param("kind: local", "kind: cloud", "    compute:", ["als.compute", "'cloud'"], id="unknown kind of compute"),
    pytest.param("kind: scicat", "kind: skicat", "  catalogue:", ["identities.catalogue", "skicat"], id="unknown kind of identity"),
    pytest.param("    site: nersc", "    site: nersk", "    site: nersk", ["far_raw.site", "'nersk' is not defined", "nersc"], id="site"),
    pytest.param("results: data_scratch", "results: dat", "    results: dat", ["bl832.results", "'dat' is not defined"], id="results"),
    pytest.param("raw_remote: far_raw", "raw_remote: far", "    raw_remote: far\n", ["bl832.raw_remote"], id="raw_remote"),
    pytest.param("acquisition: spot", "acquisition: spott", "    acquisition: spott", ["bl832.acquisition"], id="acquisition"),
    pytest.param(
        "raw: data_raw\n      scratch", "raw: da\n      scratch", "      raw: da\n", ["als.compute.raw", "'da'"], id="compute raw"
    ),
    pytest.param("scratch: far_scratch", "scratch: fa", "      scratch: fa\n", ["nersc.compute.scratch"], id="compute scratch"),
    pytest.param(
        "scratch: far_scratch", "scratch_raw: fa\n      scratch: far_scratch", "      scratch_raw: fa\n", ["scratch_raw"], id="scratch_raw"
    ),
    pytest.param("image: microct", "image: macroct", "        image: macroct", ["container.image", "'macroct'"], id="image"),
    pytest.param("        image: microct\n", "", "      container:", ["name an 'image'"], id="command without image"),
    pytest.param("identity: jobs", "identity: jops", "      identity: jops", ["nersc.compute.identity", "'jops'"], id="compute identity"),
    pytest.param("identity: jobs", "identity: mover", "      identity: mover", ["kind globus, not sfapi"], id="identity of another kind"),
    pytest.param("pruner: mover", "pruner: catalogue", "  pruner: catalogue", ["kind scicat, not globus"], id="pruner of another kind"),
    pytest.param("pruner: mover", "pruner: nobody", "  pruner: nobody", ["globus.pruner", "'nobody'"], id="pruner"),
    pytest.param("  mover: mover", "  mover: nobody", "  mover: nobody", ["globus.mover"], id="mover"),
    pytest.param(
        "identity: catalogue", "identity: mover", "  identity: mover", ["kind globus, not scicat"], id="catalogue of another kind"
    ),
    pytest.param("  site: scicat", "  site: skicat", "  site: skicat", ["scicat.site"], id="site of the catalogue"),
    pytest.param("reference: ghcr.io", "reference: Ghcr.io", "    reference: Ghcr", ["microct.reference"], id="image reference"),
    pytest.param("digest: sha256:00", "digest: latest", "    digest: latest", ["microct.digest"], id="image without digest"),
    pytest.param("root: /eagle\n", "root: eagle\n", "    root: eagle\n", ["eagle.root", "absolute path"], id="relative root"),
    pytest.param("root: /eagle\n", "root: /eagle/../x\n", "    root: /eagle/../x", ["without '..'"], id="root with dots"),
    pytest.param("prefix: raw", "prefix: ../raw", "  spot:", ["'prefix' must be a relative folder"], id="prefix with dots"),
    pytest.param("prefix: raw", "prefix: /raw", "  spot:", ["'prefix' must be a relative folder"], id="absolute prefix"),
    pytest.param("    mounted: true\n    prefix", "    prefix", "  spot:", ["must be 'mounted: true'"], id="posix but not mounted"),
    pytest.param("board_url: http://", "board_url: ftp://", "board_url: ftp", ["not an http(s) address"], id="address"),
    pytest.param("  scicat:\n    title", "  sci cat:\n    title", "  sci cat:", ["sites.sci cat"], id="name with a space"),
    pytest.param("  alcf:\n    title: ALCF", "  alcf:\n   - ALCF", "  alcf:", ["sites.alcf"], id="list instead of a table"),
    pytest.param(
        "client_id: {env: BOX_MOVER_ID}", "client_id: {}", "    client_id: {}", ["exactly one of 'file' and 'env'"], id="no source"
    ),
    pytest.param("{env: BOX_MOVER_ID}", "{env: BOX_A, file: b}", "    client_id:", ["exactly one of 'file' and 'env'"], id="two sources"),
    pytest.param("sites:\n", "sites:\n  als: {title: x}\n", "  als:\n", ["'als' is written twice"], id="key written twice"),
    pytest.param("  als:\n", "  als: [\n", "  als: [", ["not valid YAML"], id="not YAML"),
]


@pytest.mark.parametrize(("old", "new", "line_begin", "words"), MISTAKES)
def test_every_mistake_is_named_with_file_line_and_reason(spoil: Spoil, old: str, new: str, line_begin: str, words: list[str]) -> None:
    complaint = spoil(old, new)
    lines = text().replace(old, new, 1).splitlines(keepends=True)
    named = lines[int(str(complaint.details["line"])) - 1]
    if "not valid YAML" not in words:  # the parser notices an open bracket some lines later
        assert named.startswith(line_begin), complaint.sentence
    for word in words:
        assert word in complaint.sentence


def test_the_text_is_right_as_it_stands(facility: Facility) -> None:
    assert facility.site_of("far_raw") == "nersc"
    assert facility.location("spot").location_class is LocationClass.ACQUISITION


def test_relative_paths_are_taken_from_the_folder_of_the_file(facility: Facility, tmp_path: Path) -> None:
    assert facility.state_dir == tmp_path / "state"
    assert facility.beamlines["bl832"].settings == tmp_path / "bl832.yaml"
    mover, jobs = facility.identities["mover"], facility.identities["jobs"]
    assert mover.kind == "globus" and mover.client_secret.file == tmp_path / "secrets/mover"
    assert jobs.kind == "sfapi" and jobs.key.file == Path("/etc/box/key.json")
    assert mover.client_id.env == "BOX_MOVER_ID" and mover.client_id.file is None


def test_addresses_lose_a_trailing_slash(facility: Facility) -> None:
    assert facility.scicat.api_url == "https://catalogue.example.org/api/v3"


class TestRoots:
    """Two roots where bytes are kept never lie inside each other."""

    @pytest.mark.parametrize("root", ["/eagle/scratch", "/eagle/scratch/deeper", "/eagle", "/"])
    def test_overlap_in_one_collection_is_refused(self, spoil: Spoil, root: str) -> None:
        complaint = spoil("root: /eagle/raw", f"root: {root}")
        assert "overlaps" in complaint.sentence and "'eagle_raw'" in complaint.sentence and "eagle_scratch" in complaint.sentence

    @pytest.mark.parametrize("root", ["/srv/far/scratch", "/srv/far/scratch/deeper", "/srv/far", "/srv"])
    def test_overlap_on_one_site_is_refused(self, spoil: Spoil, root: str) -> None:
        complaint = spoil(FAR_RAW, f"root: {root}")
        assert "locations.far_scratch" in complaint.sentence and "overlaps that of 'far_raw'" in complaint.sentence

    def test_overlap_on_one_site_is_refused_through_two_collections(self, spoil: Spoil) -> None:
        other = f"collection: {OTHER_COLLECTION}\n    root: /elsewhere\n    path_on_site: /eagle/scratch/x\n    class: archive"
        assert "overlaps" in spoil(f"collection: {COLLECTION}\n    root: /eagle/raw\n    class: archive", other).sentence

    def test_the_prefix_counts(self, spoil: Spoil) -> None:
        assert "overlaps" in spoil("root: /srv/data/raw", "root: /srv/spot/raw").sentence

    def test_neighbours_with_a_common_beginning_are_fine(self, tmp_path: Path) -> None:
        path = tmp_path / "facility.yaml"
        path.write_text(text().replace(FAR_RAW, "root: /srv/far/scratch2"))
        assert load_facility(path).location("far_raw").root.name == "scratch2"

    def test_the_same_folder_at_two_sites_is_fine(self, tmp_path: Path) -> None:
        path = tmp_path / "facility.yaml"
        path.write_text(text().replace("root: /srv/far/scratch", "root: /srv/data/scratch"))
        load_facility(path)

    def test_a_view_may_lie_around_others(self, facility: Facility) -> None:
        assert facility.location("eagle_raw").root.is_relative_to(facility.location("eagle").root)
        assert facility.location("eagle").location_class is LocationClass.VIEW


def test_a_location_that_is_not_there_is_named(facility: Facility) -> None:
    for ask in (facility.location, facility.site_of):
        with pytest.raises(ConfigError, match=r"'attic' is not in the facility file") as caught:
            ask("attic")
        assert caught.value.next_step


def test_an_image_may_name_its_digest_by_variable() -> None:
    image = Image.model_validate({"reference": "ghcr.io/a/b", "digest": {"env": "BOX_DIGEST"}})
    assert not isinstance(image.digest, str) and image.digest.env == "BOX_DIGEST"


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "just words\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=rf"{path}, line 1: it must be a table of keys"):
        load_facility(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load_facility(tmp_path / "absent.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.yaml: cannot be read"):
        load_facility(binary)


@pytest.mark.parametrize("content", ["name: a\x00b\n", "name: !!python/object:os.system x\n", "name: 2026-99-99\n", "? [a]\n: b\n"])
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"line 1: it is not valid YAML"):
        load_facility(path)


def test_a_table_that_contains_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: &again\n  b: *again\n")
    with pytest.raises(ConfigError, match=r"f\.yaml, line \d+"):
        load_facility(path)


def test_the_line_of_an_entry_in_a_list_is_found(tmp_path: Path) -> None:
    class Numbers(Strict):
        values: list[int]

    path = tmp_path / "f.yaml"
    path.write_text("values:\n  - 1\n  - 2\n  - three\n")
    with pytest.raises(ConfigError, match=r"line 4: values\.2"):
        load_model(path, Numbers)
