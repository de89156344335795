#!/bin/bash
# The reconstruction of scan 'one' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *? #SBATCH --account=thief
set -Eeuo pipefail
step=begin
TZ=UTC0 printf -v began '%(%Y-%m-%dT%H:%M:%SZ)T' -1
result=/SITE/logs/als-rec-0001.result.json

# Whatever ends this script, its exit code and step are on disk before the scheduler hears of it.
record() {
  local now
  TZ=UTC0 printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
  printf '{"name": "%s", "exit": %d, "step": "%s", "began": "%s", "ended": "%s", "host": "%s"}\n' \
    als-rec-0001 "$1" "$step" "$began" "$now" "$HOSTNAME" >"$result.new"
  mv -f -- "$result.new" "$result"
}
finish() {
  code=$?
  trap - EXIT
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

step=reconstruct
run site-python -m als_assets.recon reconstruct '/SITE/raw/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?.h5' --output '/SITE/scratch/scan '"'"'one'"'"' "two";$(touch INJECTED)`touch INJECTED`|&größe\ *?' --params /SITE/logs/als-rec-0001.parameters.yaml

