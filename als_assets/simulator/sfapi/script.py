"""Reading a batch script as sbatch does: its #SBATCH lines, time limits, and the names of log files.

Here: pure functions. Not here: running anything.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_LONG_BY_SHORT = {
    "J": "job-name",
    "o": "output",
    "e": "error",
    "t": "time",
    "q": "qos",
    "A": "account",
    "C": "constraint",
    "N": "nodes",
    "n": "ntasks",
    "c": "cpus-per-task",
    "p": "partition",
    "D": "chdir",
    "G": "gpus",
    "L": "licenses",
    "d": "dependency",
}
_FLAGS = frozenset({"exclusive", "requeue", "no-requeue", "hold", "overcommit", "contiguous"})
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<a>\d+)(?::(?P<b>\d+))?(?::(?P<c>\d+))?")
_DEFAULT_LIMIT_S = 600


class ScriptRefused(ValueError):
    """sbatch refuses the script; the text is what it would print."""


@dataclass(frozen=True)
class Script:
    """What a script asks for. Absent options are None or the scheduler's defaults."""

    text: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The job's name."""
        return self.options.get("job-name", "sbatch")

    @property
    def limit_s(self) -> int:
        """The time limit in seconds."""
        return parse_time(self.options["time"]) if "time" in self.options else _DEFAULT_LIMIT_S

    @property
    def warning(self) -> tuple[int, int] | None:
        """(signal number is TERM or what --signal says, seconds before the limit), or None when no warning was asked for."""
        if "signal" not in self.options:
            return None
        signal, _, seconds = self.options["signal"].removeprefix("B:").partition("@")
        return _signal_number(signal), int(seconds or 60)


def parse_script(text: str) -> Script:
    """The script with its options.

    Raises:
        ScriptRefused: no ``#!`` in the first line, a malformed #SBATCH line or an invalid time limit.
    """
    if not text.startswith("#!"):
        raise ScriptRefused(
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh"
        )
    options: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#SBATCH"):
            options.update(_parse_line(line.removeprefix("#SBATCH")))
        elif line.strip() and not line.startswith("#"):
            break
    script = Script(text, options)
    try:
        _ = (script.limit_s, script.warning)
    except ValueError as error:
        raise ScriptRefused(f"sbatch: error: {error}") from error
    return script


def _parse_line(line: str) -> dict[str, str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise ScriptRefused(f"sbatch: error: malformed #SBATCH line:{line} ({error})") from error
    options: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
        elif word.startswith("-") and word[1:2] in _LONG_BY_SHORT:
            key, value = _LONG_BY_SHORT[word[1]], word[2:].removeprefix("=")
            equals = "=" if value else ""
        else:
            raise ScriptRefused(f"sbatch: error: Invalid option or argument: {word}")
        if not equals and key not in _FLAGS and words:
            value = words.pop(0)
        options[key] = value
    return options


def parse_time(text: str) -> int:
    """Seconds of a time limit: minutes, minutes:seconds, h:m:s, days-hours, days-h:m or days-h:m:s. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"Invalid --time specification: {text}")
    days, *parts = (match["days"], match["a"], match["b"], match["c"])
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


def format_time(seconds: int) -> str:
    """Slurm's ``[days-]hh:mm:ss``."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock


def expand(pattern: str, *, job_id: str, name: str, user: str, node: str) -> str:
    """A log file's pattern with %j, %A, %x, %u, %N, %a and %% filled in."""
    known = {"j": job_id, "A": job_id, "x": name, "u": user, "N": node, "a": "4294967294", "%": "%"}
    return re.sub(r"%(\d*)([%a-zA-Z])", lambda match: known.get(match[2], match[0]).rjust(int(match[1] or 0), "0"), pattern)


def _signal_number(name: str) -> int:
    numbers = {"TERM": 15, "USR1": 10, "USR2": 12, "INT": 2, "HUP": 1, "QUIT": 3, "CONT": 18}
    if name.isdigit():
        return int(name)
    try:
        return numbers[name.upper().removeprefix("SIG")]
    except KeyError:
        raise ValueError(f"Invalid --signal specification: {name}") from None
