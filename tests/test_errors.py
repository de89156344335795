"""The tree of errors and its pages hold together, and an error says what, why and what next.

Here: the tree as a whole. Not here: which error is raised when (the rooms' own tests), and the tree of ``recon``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from als_assets import errors
from als_assets.errors import AlsError, ConfigError, ScanNotHdf5, ServiceUnreachable, TransferFailed

REPOSITORY = Path(__file__).parents[1]
TREE = [kind for kind in AlsError.tree() if kind.__module__ == errors.__name__]
PRODUCTION = [
    path
    for path in sorted((REPOSITORY / "als_assets").rglob("*.py"))
    if not {"recon", "simulator"} & set(path.relative_to(REPOSITORY / "als_assets").parts)
]


def test_an_error_carries_sentence_next_step_and_facts() -> None:
    error = TransferFailed("The copy failed.", next_step="Mend it.", task_id="t1", faults=3)
    assert (str(error), error.sentence, error.next_step) == ("The copy failed.", "The copy failed.", "Mend it.")
    assert error.details == {"task_id": "t1", "faults": 3}


def test_an_error_without_a_next_step_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="next_step"):
        AlsError("Something.")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (AlsError, "als-error"),
        (ConfigError, "config-error"),
        (ServiceUnreachable, "service-unreachable"),
        (ScanNotHdf5, "scan-not-hdf5"),
    ],
)
def test_the_name_of_the_page(kind: type[AlsError], page: str) -> None:
    assert kind.page == page


def test_every_error_has_a_page_of_its_own() -> None:
    pages = [kind.page for kind in TREE]
    assert len(set(pages)) == len(TREE)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", page) for page in pages)


def _defined() -> dict[str, str]:
    """Every class that descends from AlsError, by its source, and the file that defines it."""
    bases = {"AlsError": {"Exception"}}
    files: dict[str, str] = {}
    for path in PRODUCTION:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {ast.unparse(base) for base in node.bases}
                files[node.name] = str(path.relative_to(REPOSITORY))
    found = {"AlsError"}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return {name: files[name] for name in found}


def test_the_tree_is_in_one_file() -> None:
    """Only the demonstration has an error of its own: no service raises it."""
    elsewhere = {name: file for name, file in _defined().items() if file != "als_assets/errors.py"}
    assert all(file.startswith("als_assets/demo/") for file in elsewhere.values()), elsewhere
    assert set(_defined()) - set(elsewhere) == {kind.__name__ for kind in TREE}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_means(kind: type[AlsError]) -> None:
    assert kind.__doc__ and kind.__doc__.strip().endswith(".") and len(kind.__doc__.split()) >= 4


def test_documentation_and_tree_hold_together() -> None:
    """A page for each error, under its name and with what to do, and no page for an error that is gone."""
    pages = {path.stem: path.read_text() for path in (REPOSITORY / "docs" / "errors").glob("*.md")}
    assert pages.keys() - {"index", "recon"} == {errors._slug(name) for name in _defined()}
    for name, text in pages.items():
        title = re.sub(r"[^a-z0-9]+", "-", text.splitlines()[0].removeprefix("# ").lower())
        if name not in ("index", "recon"):
            assert title.startswith(name), f"{name}: the page begins with '{title}'"
            assert "## What to do" in text, name


def _raised() -> list[tuple[str, ast.Call]]:
    names = {kind.__name__ for kind in TREE}
    return [
        (f"{path.relative_to(REPOSITORY)}:{node.lineno}", node)
        for path in PRODUCTION
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def test_every_error_that_is_made_names_a_next_step_that_is_not_empty() -> None:
    made = _raised()
    assert len(made) > 50
    for where, call in made:
        steps = [keyword.value for keyword in call.keywords if keyword.arg == "next_step"]
        assert len(steps) == 1, where
        assert not (isinstance(steps[0], ast.Constant) and len(str(steps[0].value).split()) < 2), where


def test_no_error_carries_a_secret_by_name() -> None:
    for where, call in _raised():
        names = {keyword.arg or "" for keyword in call.keywords}
        assert not {name for name in names if re.search(r"secret|password|token|key$", name)}, where


def test_nothing_catches_everything_and_nothing_returns_from_finally() -> None:
    for path in PRODUCTION:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                reraised = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                assert caught not in ("", "Exception", "BaseException") or reraised, f"{path}:{node.lineno}"
            if isinstance(node, ast.Try):
                for statement in node.finalbody:
                    assert not any(isinstance(inner, ast.Return) for inner in ast.walk(statement)), f"{path}:{statement.lineno}"
