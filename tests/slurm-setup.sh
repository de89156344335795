#!/usr/bin/env bash
# The simulator's real Slurm comes from the distribution's packages. Installs them where that is possible; says so where it is not.
set -u
if command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client && exit 0
fi
echo "Slurm is not installed and cannot be installed here: the tests with a real Slurm will be skipped."
