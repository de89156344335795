"""Every error has a page that answers what staff ask, no page is without an error, and the exit codes are those of the programs.

Here: that comparison, and the links between pages. Not here: the texts of errors (each room's own tests).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import als_assets.demo.processes  # noqa: F401 - its error belongs to the tree
from als_assets.errors import AlsError
from als_assets.recon.errors import exit_code_table
from als_assets.recon.parameters import Parameters

DOCS = Path(__file__).parent.parent.parent / "docs"
ERRORS = DOCS / "errors"
SECTIONS = ["What you see", "What it means", "Is my data safe?", "What to do", "Whom to call", "For operators"]
# Errors that tests define for themselves have no page.
CLASSES = {kind.page: kind for kind in AlsError.tree() if kind.__module__.startswith("als_assets.")}
PAGES = sorted(path.stem for path in ERRORS.glob("*.md") if path.stem != "index")


def sections(text: str) -> dict[str, str]:
    """Heading of level two -> what stands below it."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def test_every_error_has_a_page_and_no_page_is_without_an_error() -> None:
    assert sorted([*CLASSES, "recon"]) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_the_heading_names_the_error_in_words(page: str) -> None:
    heading = (ERRORS / f"{page}.md").read_text().splitlines()[0]
    name, _, meaning = heading.removeprefix("# ").partition(": ")
    assert heading.startswith("# ") and re.sub(r"[^a-z0-9]+", "-", name.lower()) == page and meaning


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_every_question(page: str) -> None:
    found = sections((ERRORS / f"{page}.md").read_text())
    assert list(found) == SECTIONS
    assert all(len(text) > 5 for text in found.values())
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", found["What to do"], flags=re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1)) and numbers, "numbered steps"


def test_the_index_lists_every_page_once_by_its_name() -> None:
    rows = re.findall(r"^- \[(.+?)\]\((.+?)\.md\): .+$", (ERRORS / "index.md").read_text(), flags=re.MULTILINE)
    assert sorted(page for _, page in rows) == PAGES
    for name, page in rows:
        assert (ERRORS / f"{page}.md").read_text().startswith(f"# {name}: ")


def test_the_exit_codes_are_those_of_the_programs() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", (ERRORS / "recon.md").read_text(), flags=re.MULTILINE)
    assert {name: int(code) for code, name in rows} == exit_code_table()


def test_the_table_of_parameters_is_that_of_the_programs() -> None:
    table = (DOCS / "staff" / "parameters.md").read_text().split("<!-- parameters:begin -->")[1].split("<!-- parameters:end -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    fields = Parameters.model_fields
    assert [(row[0], row[1], row[3]) for row in rows] == [(f"`{n}`", f"`{f.default}`", f.description) for n, f in fields.items()]
    for name, row in zip(fields, rows, strict=True):
        for words, number in re.findall(r"(above|below|at least|at most) ([\d.]+)", row[2]):
            bound = float(number)
            assert accepted(name, bound) is words.startswith("at "), (name, row[2])
            assert not accepted(name, bound + (1 if words in ("below", "at most") else -1)), (name, row[2])


def accepted(name: str, value: float) -> bool:
    """Whether a parameter takes a value; whole numbers are offered as such."""
    try:
        Parameters.model_validate({name: int(value) if value.is_integer() else value})
    except ValidationError:
        return False
    return True


def slug(heading: str) -> str:
    """The anchor of a heading, as the documentation's builder makes it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading)).strip().lower())


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: str(path.relative_to(DOCS)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = (path.parent / file).resolve() if file else path
        assert other.is_file(), target
        assert not anchor or anchor in [slug(h) for h in re.findall(r"^#+ (.+)$", other.read_text(), flags=re.MULTILINE)], target


def test_the_navigation_lists_every_page() -> None:
    """The builder's own check is not run here; a page outside of the navigation would be found by nobody."""
    document = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text())

    def pages(node: object) -> list[str]:
        if isinstance(node, dict):
            return [page for value in node.values() for page in pages(value)]
        return [page for item in node for page in pages(item)] if isinstance(node, list) else [str(node)]

    listed = pages(document["nav"])
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_modules_and_commands_named_in_the_pages_exist() -> None:
    """A path of the code in a page must not outlive the code."""
    package = DOCS.parent / "als_assets"
    for path in [*ERRORS.glob("*.md"), *DOCS.glob("staff/*.md"), *DOCS.glob("operators/*.md")]:
        for name in re.findall(r"`((?:als_assets/)?[a-z_0-9]+/[a-z_0-9/]+\.py)`", path.read_text()):
            place = DOCS.parent if name.startswith(("tests/", "benchmarks/")) else package
            assert (place / name.removeprefix("als_assets/")).is_file(), f"{path.name}: {name}"
