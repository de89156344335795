#!/bin/bash
#SBATCH --job-name=als-rec-0001
#SBATCH --comment=als-rec-0001
#SBATCH -q realtime
#SBATCH -A als
#SBATCH -C cpu
#SBATCH -N 1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --time=1:30:00
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --signal=B:TERM@60
#SBATCH --output=/SITE/logs/als-rec-0001.out
#SBATCH --error=/SITE/logs/als-rec-0001.err
# The reconstruction of scan 'one' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *? #SBATCH --account=thief
set -Eeuo pipefail
step=begin
TZ=UTC0 printf -v began '%(%Y-%m-%dT%H:%M:%SZ)T' -1
result=/SITE/logs/als-rec-0001.result.json

# The first copy of this job that runs takes the claim. A second one, born of an answer that was lost, leaves without doing anything.
me="${SLURM_JOB_ID:-${PBS_JOBID:-$$}}"
claim=/SITE/logs/als-rec-0001.claim
if ! (set -o noclobber && printf '%s\n' "$me" >"$claim") 2>/dev/null && [ -e "$claim" ] && [ "$(<"$claim")" != "$me" ]; then
  echo "this work is done by job $(<"$claim")" >&2
  exit 75
fi

# Whatever ends this script, its exit code and step are on disk before the scheduler hears of it.
record() {
  local now
  TZ=UTC0 printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
  printf '{"name": "%s", "exit": %d, "step": "%s", "began": "%s", "ended": "%s", "host": "%s", "max_rss_bytes": %d}\n' \
    als-rec-0001 "$1" "$step" "$began" "$now" "$HOSTNAME" "$(peak)" >"$result.new"
  mv -f -- "$result.new" "$result"
}
# The most memory that the job had, in bytes, where Slurm gave it a control group of its own; else 0.
peak() {
  local group
  group=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null || true)
  case "$group" in
    */job_"${SLURM_JOB_ID:-none}"/*) cat -- "/sys/fs/cgroup${group%%/step_*}/memory.peak" 2>/dev/null || echo 0 ;;
    *) echo 0 ;;
  esac
}
finish() {
  code=$?
  trap - EXIT
  # Programs may set modes of their own, but whoever prunes must be able to delete.
  chmod -R ug+rwX -- '/SITE/scratch/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?/recX' 2>/dev/null || true
  record "$code"
  exit "$code"
}
# The site warns by TERM before the time limit. The result then says so, in case that no further word gets out; the step works on.
# It runs beside this shell, because bash hears no signal while a program runs in its foreground.
warned=
run() {
  local code=0 again=0
  "$@" &
  while true; do
    wait "$!" && code=0 || code=$?
    [ -z "$warned" ] || { warned= && record 143; }
    kill -0 "$!" 2>/dev/null || break
  done
  # A warning may have ended the last wait before the step ended; bash mostly remembers how a step ended (else it says -1 or 127).
  wait "$!" && again=0 || again=$?
  [ "$again" -lt 0 ] || [ "$again" -eq 127 ] || code=$again
  return "$code"
}
trap finish EXIT
trap 'warned=yes' TERM

export NOTE='scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?'
export NUMBA_CACHE_DIR=/SITE/numba
umask 0007

step=prepare
mkdir -p -- '/SITE/scratch/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?'
printf '%s\n' '{"center": 1.5, "note": "scan '"'"'one'"'"' \"two\";$(touch INJECTED)`touch INJECTED`|&gr\u00f6\u00dfe\\ *?"}' >/SITE/logs/als-rec-0001.parameters.yaml

step=stage_in
source='/SITE/cfs/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?.h5'
target='/SITE/raw/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?.h5'
mkdir -p -- "$(dirname -- "$target")"
if [ "$(stat -c %s -- "$target" 2>/dev/null || echo none)" != 20 ]; then
  run cp -- "$source" "$target.partial"
  copied=$(stat -c %s -- "$target.partial")
  if [ "$copied" != 20 ]; then
    echo "stage-in copied $copied bytes of $source instead of 20" >&2
    exit 74
  fi
  mv -f -- "$target.partial" "$target"
fi

step=reconstruct
run site-python -m als_assets.recon reconstruct '/SITE/raw/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?.h5' --output '/SITE/scratch/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?' --params /SITE/logs/als-rec-0001.parameters.yaml

