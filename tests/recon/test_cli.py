"""The command line itself: help, codes, places for compiled code, and standing alone.

Here: promises of cli.py. What belongs here is words and processes. Not here: results of the commands.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from recon_phantoms import ScanFile

import als_assets.recon
from als_assets.recon import cli, errors
from als_assets.recon.machine import cores


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=100, check=False, env={**clean, **environment}
    )


def test_help_lists_commands_and_exit_codes_without_heavy_imports() -> None:
    code = """
        import sys
        from als_assets.recon.cli import main
        try:
            main(["--help"])
        except SystemExit as end:
            heavy = {"numpy", "numba", "ducc0", "h5py", "tensorstore", "PIL", "pywt", "pydantic", "dagster"} & set(sys.modules)
            print("HEAVY", sorted(heavy), end.code)
    """
    done = python("-c", textwrap.dedent(code))
    assert "HEAVY [] 0" in done.stdout, done.stderr
    for word in ("reconstruct", "multires", "preview", "31 DiskFull"):
        assert word in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", ["reconstruct", "multires", "preview"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert "--output" in capsys.readouterr().out


def test_wrong_use_is_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["unknown"], ["reconstruct"], ["reconstruct", "x.h5"]):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 2
    assert "--output" in capsys.readouterr().err


def test_errors_are_one_line_with_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reconstruct", str(tmp_path / "no.h5"), "--output", str(tmp_path)]) == errors.InputUnreadable.exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"{tmp_path / 'no.h5'} cannot be opened: No such file or directory. Check")
    assert printed.err.count("\n") == 1


def test_a_wrong_centre_is_named(small_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reconstruct", str(small_scan), "--output", str(tmp_path), "--center", "left"]) == 20
    assert "'left'" in capsys.readouterr().err


def test_an_interrupt_is_130(small_scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_preview", interrupted)
    assert cli.main(["preview", str(small_scan), "--output", str(tmp_path)]) == 130


def test_the_package_runs_alone_from_a_copy(tmp_path: Path) -> None:
    """As in the container: nothing of the platform beside it, no write access to the code."""
    package = tmp_path / "als_assets"
    shutil.copytree(Path(als_assets.recon.__file__).parent, package / "recon", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").touch()
    scan = ScanFile(rows=2, width=32, angles=31).write(tmp_path / "s.h5")
    cache = tmp_path / "cache"
    arguments = ["-m", "als_assets.recon", "reconstruct", str(scan), "--output", str(tmp_path / "o"), "--center", "15.5"]
    done = subprocess.run(
        [sys.executable, "-B", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        env={"PATH": os.environ["PATH"], "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(cache.rglob("*.nbc"))
    assert not list(package.rglob("*.nbc"))


_ALONE = """
import importlib.abc, sys
allowed = {"numpy", "h5py", "numba", "llvmlite", "ducc0", "tifffile", "pywt", "tensorstore", "PIL", "pydantic", "yaml", "ml_dtypes"}
allowed |= {"pydantic_core", "typing_extensions", "annotated_types", "typing_inspection", "_yaml", "_cyutility", "packaging", "defusedxml"}
class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.split(".")[0]
        if root in sys.stdlib_module_names or root in allowed or root.startswith(("__editable__", "_distutils", "_sysconfigdata")):
            return None
        if root == "als_assets" and (name == root or name.startswith("als_assets.recon")):
            return None
        raise ModuleNotFoundError(f"{name} is not there in the container of a site", name=name)
sys.meta_path.insert(0, Bare())
import pkgutil, als_assets.recon
for module in pkgutil.iter_modules(als_assets.recon.__path__):
    if module.name != "__main__":
        importlib.import_module("als_assets.recon." + module.name)
from als_assets.recon.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_only_its_own_requirements_are_needed_to_import_all_of_it_and_to_reconstruct(tmp_path: Path) -> None:
    scan = ScanFile(rows=2, width=32, angles=31).write(tmp_path / "s.h5")
    done = python("-c", _ALONE, "reconstruct", str(scan), "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "recs" / "parameters.json").exists()


def test_the_container_of_the_sites_is_pinned_and_installs_what_the_package_says() -> None:
    root = Path(__file__).parents[2]
    lines = (root / "deploy" / "recon.Containerfile").read_text(encoding="utf-8").splitlines()
    bases = [line for line in lines if line.startswith("FROM ")]
    assert all(re.fullmatch(r"FROM docker\.io/library/python:3\.\d+-slim@sha256:[0-9a-f]{64}( AS \w+)?", base) for base in bases)
    assert bases
    wanted = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]["recon"]
    installed = next(line for line in lines if "pip install" in line)
    assert {re.split(r"[<>=]", name)[0] for name in wanted} <= set(installed.split())


def test_the_table_of_parameters_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parameters"]) == 0
    assert "| `tilt_deg` | `0` | at least -10, at most 10 |" in capsys.readouterr().out


def test_read_only_code_keeps_its_machine_code_in_a_private_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(cli.tempfile, "gettempdir", lambda: str(tmp_path))
    cli._place_for_compiled_code()
    chosen = Path(os.environ["NUMBA_CACHE_DIR"])
    assert chosen.parent == tmp_path
    assert chosen.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    chosen.chmod(0o777)
    cli._place_for_compiled_code()
    assert os.environ["NUMBA_CACHE_DIR"] != str(chosen)
    monkeypatch.delenv("NUMBA_CACHE_DIR")


def test_transforms_may_use_all_cores_although_a_job_allows_libraries_one_thread() -> None:
    """Job systems set OMP_NUM_THREADS to 1, and so do we for the products of matrices."""
    code = (
        "from als_assets.recon import machine as m; m.share_cores_among_our_threads(); import ducc0; print(ducc0.misc.thread_pool_size())"
    )
    assert int(python("-c", code, OMP_NUM_THREADS="1").stdout) == cores()


_BLOCKS = """
import resource
from als_assets.recon.machine import keep_freed_memory
keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block = b"a" * (40 << 20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no such setting")
def test_freed_blocks_are_used_again_instead_of_being_cleared_page_by_page() -> None:
    faults = int(python("-c", _BLOCKS).stdout)
    assert faults < 20_000, "ten times forty megabytes are 100 000 pages"
