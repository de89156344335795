"""A private Slurm on this machine: one controller and one node, from the distribution's packages, without munge and database.

Here: its configuration, its start and stop by process id, and running its commands. Not here: jobs (``slurm_backend``). It listens on
loopback with ports of its own, so several can run side by side, and its daemons outlive a killed simulator, which finds them again.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from als_assets.errors import ServiceUnreachable

_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sacct", "sinfo")
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_DAEMONS = ("slurmctld", "slurmd")
_LIMIT_S = 60.0

# auth/none: everything is this account on loopback. The plugins after it keep cgroups and CPU binding out, config_overrides lets a
# small machine pose as a large node, and FORCE lets jobs that ask for a node of their own share the only one.
_CONFIG = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port_controller}
SlurmdPort={port_node}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
MinJobAge=2
KillWait=2
JobRequeue=0
FirstJobId=40000001
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.log
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=128 Sockets=1 CoresPerSocket=128 ThreadsPerCore=1 Features=cpu,gpu State=UNKNOWN
PartitionName=regular Nodes=ALL Default=YES MaxTime=24:00:00 OverSubscribe=FORCE:16 State=UP
PartitionName=batch Nodes=ALL MaxTime=24:00:00 OverSubscribe=FORCE:16 State=UP
"""


def why_not() -> str:
    """Why no Slurm can be started here, in words; empty when it can."""
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"the programs {', '.join(missing)} are not installed (Debian: apt-get install slurmctld slurmd slurm-client)"
    return ""


class SlurmCluster:
    """One cluster, with everything it keeps below ``folder``."""

    def __init__(self, folder: Path, cluster: str) -> None:
        self._folder, self._cluster = folder.resolve(), cluster
        self._config = self._folder / "slurm.conf"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def completions(self) -> Path:
        """The file in which Slurm writes down every ended job; ``sacct -c`` reads it without a database."""
        return self._folder / "jobcomp.log"

    def start(self) -> None:
        """Start, or find what an earlier simulator left running; returns when the node takes jobs.

        Raises:
            ServiceUnreachable: packages are missing, or a daemon ended; the sentence holds its last words.
        """
        if words := why_not():
            raise ServiceUnreachable(
                f"The real Slurm cannot be started: {words}.", next_step="Install them, or use the back end 'processes'."
            )
        if not self.alive:
            self.stop()
            self._write()
            for name in _DAEMONS:
                self._spawn(name)
        deadline = time.monotonic() + _LIMIT_S
        # Without a controller, sinfo tries for long: it is asked only while both daemons live.
        while not (self.alive and self.run(["sinfo", "-h", "-o", "%T"]).stdout.strip() in ("idle", "mixed", "allocated")):
            dead = [name for name, child in self._children.items() if child.poll() is not None]
            if dead or time.monotonic() > deadline:
                words = self._last_words(dead[0] if dead else "slurmctld")
                self.stop()
                raise ServiceUnreachable(f"The real Slurm did not start: {words}", next_step=f"Read the logs in {self._folder}.")
            time.sleep(0.05)

    @property
    def alive(self) -> bool:
        """Whether both daemons run."""
        return all(self._pid(name) for name in _DAEMONS)

    def stop(self) -> None:
        """Stop both daemons; jobs that still run are left to the next start."""
        for name in reversed(_DAEMONS):
            pid, child = self._pid(name), self._children.pop(name, None)
            if child is not None:
                child.terminate()
                child.wait()
            elif pid:
                _end(pid)

    def run(self, command: list[str], *, text: str = "", cwd: Path | None = None, environment: dict[str, str] | None = None) -> _Done:
        """Run one of Slurm's commands against this cluster."""
        surrounding = {"PATH": _PATH, "HOME": str(self._folder), "LANG": "C.UTF-8", **(environment or {}), "SLURM_CONF": str(self._config)}
        return subprocess.run(command, input=text, capture_output=True, text=True, errors="replace", cwd=cwd, env=surrounding, check=False)

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", "spool"):
            (self._folder / name).mkdir(exist_ok=True)
        host, user = socket.gethostname().partition(".")[0], getpass.getuser()
        places = {"folder": self._folder, "cluster": self._cluster, "host": host, "user": user}
        self._config.write_text(_CONFIG.format(**places, port_controller=_free_port(), port_node=_free_port()))
        if self._version() >= (23, 11):  # older ones do not know the word, and need no cgroups with the plugins above
            self._config.with_name("cgroup.conf").write_text("CgroupPlugin=disabled\n")

    def _version(self) -> tuple[int, ...]:
        found = re.search(r"(\d+)\.(\d+)", self.run(["sinfo", "-V"]).stdout)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def _spawn(self, name: str) -> None:
        program = shutil.which(name, path=_PATH) or name
        with (self._folder / f"{name}.out").open("ab") as log:
            command = [program, "-D", "-f", str(self._config)]
            environment = {**os.environ, "SLURM_CONF": str(self._config), "PATH": _PATH}
            self._children[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def _pid(self, name: str) -> int:
        """The process id of a living daemon of ours, or 0."""
        try:
            pid = int((self._folder / f"{name}.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if str(self._config).encode() in command else 0

    def _last_words(self, name: str) -> str:
        lines = [line for line in (self._folder / f"{name}.out").read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"{name} said nothing."


_Done = subprocess.CompletedProcess[str]


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists():
            os.kill(pid, 0)
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
