"""The golden scripts, each run by a real bash with stubs for the site's programs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from golden_jobs import GOLDEN, HOSTILE, KINDS, SIZE, spec_at

from als_assets.compute.script import render
from als_assets.compute.spec import Step


class Stage:
    """A site in a folder: stubs first on PATH, and the golden script with the folder in place of /SITE."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.kind = root, kind
        self.source = root / "cfs" / f"{HOSTILE}.h5"
        self.staged = root / "raw" / f"{HOSTILE}.h5"
        for folder in ("bin", "cfs", "logs", "numba", "work"):
            (root / folder).mkdir()
        self.source.write_bytes(b"x" * SIZE)
        self.stub("exit 0")

    def stub(self, body: str) -> None:
        stub = self.root / "bin" / KINDS[self.kind][2]
        stub.write_text(f'#!/bin/bash\nprintf \'%s\\0\' "$@" >{self.root}/argv\nprintf %s "$NOTE" >{self.root}/note\n{body}\n')
        stub.chmod(0o755)

    @property
    def claim(self) -> Path:
        return self.root / "logs" / "als-rec-0001.claim"

    def start(self, *, again: bool = True, job_id: str = "") -> subprocess.Popen[str]:
        """``again``: as a new job, not as a second copy of the one before."""
        if again:
            self.claim.unlink(missing_ok=True)
        golden = (GOLDEN / f"{self.kind}.sh").read_text()
        script = self.root / "job.sh"
        if not script.exists():  # bash reads it piece by piece: it must not change under a copy that runs
            script.write_text(golden.replace("/SITE", str(self.root)))
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", str(script)],
            cwd=self.root / "work",
            env={"PATH": path, "LANG": "C.UTF-8", **({"SLURM_JOB_ID": job_id} if job_id else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self) -> tuple[int, str]:
        """Exit code and standard error."""
        process = self.start()
        _, error = process.communicate(timeout=60)
        return process.returncode, error

    @property
    def result(self) -> dict[str, object]:
        return json.loads((self.root / "logs" / "als-rec-0001.result.json").read_text())

    @property
    def argv(self) -> list[str]:
        return (self.root / "argv").read_text().split("\0")[:-1]


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    return Stage(tmp_path, request.param)


@pytest.fixture
def nersc(tmp_path: Path) -> Stage:
    return Stage(tmp_path, "nersc_podman")


def test_a_good_run_says_so(stage: Stage) -> None:
    assert stage.run() == (0, "")

    result = stage.result
    assert (result["name"], result["exit"], result["step"]) == ("als-rec-0001", 0, "reconstruct")
    assert result["host"] and str(result["began"]) <= str(result["ended"])


def test_a_container_that_exits_42_fails_the_job_with_42(stage: Stage) -> None:
    stage.stub("echo the flats are missing >&2; exit 42")

    assert stage.run() == (42, "the flats are missing\n")

    assert (stage.result["exit"], stage.result["step"]) == (42, "reconstruct")


def test_hostile_words_reach_the_program_literally_and_nothing_else_runs(stage: Stage) -> None:
    assert stage.run()[0] == 0

    assert stage.argv == list(spec_at(stage.root, stage.kind).steps[0].argv)[1:]
    assert (stage.root / "note").read_text() == HOSTILE
    assert json.loads((stage.root / "logs" / "als-rec-0001.parameters.yaml").read_text())["note"] == HOSTILE
    assert (stage.root / "scratch" / HOSTILE).is_dir()
    assert list(stage.root.rglob("INJECTED")) == []
    assert list((stage.root / "work").iterdir()) == []


def test_a_program_that_is_not_there_is_127(stage: Stage) -> None:
    (stage.root / "bin" / KINDS[stage.kind][2]).unlink()

    assert stage.run()[0] == 127
    assert stage.result["exit"] == 127


def test_a_warning_is_on_record_at_once_while_the_step_works_on(stage: Stage) -> None:
    """SIGTERM to the script alone, as ``--signal=B:TERM@60`` sends it a minute before the limit."""
    stage.stub(f"touch {stage.root}/running; while [ ! -e {stage.root}/go ]; do sleep 0.02; done; exit 5")
    process = stage.start()
    _wait_for(stage.root / "running")

    process.send_signal(signal.SIGTERM)
    _wait_for(stage.root / "logs" / "als-rec-0001.result.json")

    assert (stage.result["exit"], stage.result["step"]) == (143, "reconstruct")
    assert process.poll() is None
    (stage.root / "go").touch()
    process.communicate(timeout=30)
    assert process.returncode == 5, "the step's own end is the last word"
    assert stage.result["exit"] == 5


def test_a_step_that_succeeds_after_the_warning_is_a_success(nersc: Stage) -> None:
    nersc.stub(f"touch {nersc.root}/running; while [ ! -e {nersc.root}/go ]; do sleep 0.02; done")
    process = nersc.start()
    _wait_for(nersc.root / "running")
    process.send_signal(signal.SIGTERM)
    _wait_for(nersc.root / "logs" / "als-rec-0001.result.json")
    (nersc.root / "go").touch()
    process.communicate(timeout=30)

    assert (process.returncode, nersc.result["exit"]) == (0, 0)


def test_the_end_by_the_scheduler_writes_the_result(stage: Stage) -> None:
    """SIGTERM to the whole group: what a time limit and a cancel do."""
    stage.stub(f"touch {stage.root}/running; exec sleep 60")
    process = stage.start()
    _wait_for(stage.root / "running")

    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert (stage.result["exit"], stage.result["step"]) == (143, "reconstruct")


def test_the_raw_file_is_staged_before_the_program_reads_it(nersc: Stage) -> None:
    nersc.stub(f'[ "$(stat -c %s -- {str(nersc.root)!r}/raw/*.h5)" = {SIZE} ]')

    assert nersc.run()[0] == 0

    assert nersc.staged.read_bytes() == nersc.source.read_bytes()
    assert [p.name for p in nersc.staged.parent.iterdir()] == [nersc.staged.name]


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_a_raw_file_of_the_wrong_size_stops_the_job_with_74(nersc: Stage, size: int) -> None:
    nersc.source.write_bytes(b"x" * size)

    code, error = nersc.run()

    assert code == 74
    assert f"copied {size} bytes" in error and f"instead of {SIZE}" in error
    assert (nersc.result["exit"], nersc.result["step"]) == (74, "stage_in")
    assert not (nersc.root / "argv").exists(), "the program must not run"
    assert not nersc.staged.exists()


def test_a_missing_raw_file_stops_the_job_in_the_systems_words(nersc: Stage) -> None:
    nersc.source.unlink()

    code, error = nersc.run()

    assert code == 1
    assert "No such file or directory" in error
    assert nersc.result["step"] == "stage_in"


def test_a_staged_file_of_the_right_size_is_not_copied_again_and_another_one_is(nersc: Stage) -> None:
    nersc.staged.parent.mkdir()
    nersc.staged.write_bytes(b"y" * SIZE)
    assert nersc.run()[0] == 0
    assert nersc.staged.read_bytes() == b"y" * SIZE

    nersc.staged.write_bytes(b"half")
    assert nersc.run()[0] == 0
    assert nersc.staged.read_bytes() == b"x" * SIZE


def test_folders_that_cannot_be_made_fail_in_the_step_prepare(nersc: Stage) -> None:
    (nersc.root / "scratch").write_text("a file where a folder must be")

    assert nersc.run()[0] == 1
    assert nersc.result["step"] == "prepare"


def test_a_job_that_cannot_write_its_result_has_failed(nersc: Stage) -> None:
    (nersc.root / "logs" / "als-rec-0001.parameters.yaml").touch()
    (nersc.root / "logs" / "als-rec-0001.result.json.new").mkdir()

    assert nersc.run()[0] != 0


def test_results_can_be_deleted_by_the_group(stage: Stage) -> None:
    stage.stub(f"mkdir -p {stage.root}/out/deep; touch {stage.root}/out/deep/file")

    assert stage.run()[0] == 0

    assert stat.S_IMODE((stage.root / "out" / "deep").stat().st_mode) == 0o770
    assert stat.S_IMODE((stage.root / "out" / "deep" / "file").stat().st_mode) == 0o660


def test_a_second_step_runs_only_after_the_first_succeeded(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for code, ran in ((0, True), (9, False)):
        steps = (Step("one", ("bash", "-c", f"touch {first}; exit {code}")), Step("two", ("touch", str(second))))
        spec = replace(spec_at(tmp_path, "local"), name=f"als-{code}", steps=steps, log_dir=PurePosixPath(tmp_path), parameters="")
        script = tmp_path / "job.sh"
        script.write_text(render(spec, []))
        done = subprocess.run(["bash", str(script)], check=False, capture_output=True, timeout=60)
        assert (done.returncode, second.exists()) == (code, ran)
        second.unlink(missing_ok=True)


def test_a_second_copy_of_a_job_leaves_without_doing_anything(stage: Stage) -> None:
    """What a lost answer can bring about: the same script under another number."""
    stage.stub(f"echo run >>{stage.root}/runs")
    stage.start(job_id="1001").communicate(timeout=60)
    before = stage.result

    second = stage.start(again=False, job_id="1002")
    _, error = second.communicate(timeout=60)

    assert (second.returncode, error) == (75, "this work is done by job 1001\n")
    assert (stage.root / "runs").read_text() == "run\n"
    assert stage.result == before, "the result stays that of the first"
    same = stage.start(again=False, job_id="1001")
    same.communicate(timeout=60)
    assert same.returncode == 0, "the scheduler may start the same job anew after its node failed"


def test_two_copies_at_once_do_the_work_once(stage: Stage) -> None:
    stage.stub(f"echo run >>{stage.root}/runs; sleep 0.2")
    copies = [stage.start(again=False, job_id=str(1001 + number)) for number in range(4)]

    for copy in copies:
        copy.communicate(timeout=60)

    assert sorted(copy.returncode for copy in copies) == [0, 75, 75, 75]
    assert (stage.root / "runs").read_text() == "run\n"


def test_a_claim_that_cannot_be_written_does_not_stop_the_job(stage: Stage) -> None:
    """Then its other witnesses decide: here the result cannot be written either."""
    (stage.root / "logs").rmdir()

    code, _ = stage.run()

    assert code not in (0, 75)


def test_files_with_modes_of_their_own_can_be_deleted_by_the_group(nersc: Stage) -> None:
    """The output is made by a program, which may not ask what the script wants."""
    spec = spec_at(nersc.root, "nersc_podman")
    folder = Path(spec.output)
    quoted = shlex.quote(str(folder))
    nersc.stub(f"mkdir -p {quoted}/closed && touch {quoted}/closed/file && chmod 500 {quoted}/closed; exit 3")

    assert nersc.run()[0] == 3

    assert stat.S_IMODE((folder / "closed").stat().st_mode) & 0o770 == 0o770


def test_the_peak_of_memory_is_read_where_slurm_made_a_control_group(nersc: Stage) -> None:
    assert nersc.run()[0] == 0
    assert nersc.result["max_rss_bytes"] == 0, "this machine's own control group is nobody's job"


def _wait_for(file: Path) -> None:
    end = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < end, f"{file.name} did not appear"
        time.sleep(0.01)
