#!/usr/bin/env bash
# The long form of every proof, one part after the other, each with its own progress line. Called by ./check --long.
#   scripts/long.sh [--minutes M] [--again] [--help] [PART...]
#     PART         sim fuzz kill power metamorphic faults corruption histories mutation coverage; default: all
#     --minutes M  how long sim and fuzz explore, each (default 60)
#     --again      forget which parts are done
# Resumable: a part that ended well is not run again (build/long/done), and sim goes on from the seed where it was
# stopped (build/long/sim.state). What a part printed is in build/long/PART.log. docs/testing.md has the last figures.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name="check --long"
# shellcheck source=scripts/setup.sh
. "$root/scripts/setup.sh"

all_parts="sim fuzz kill power metamorphic faults corruption histories mutation coverage"
minutes=60
state=$root/build/long
mkdir -p "$state"
parts=""
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) [ $# -ge 2 ] || die "--minutes needs a number"; minutes=$2; shift ;;
    --help) sed -n '2,/^set/s/^# //p' "$0"; exit 0 ;;
    --again) rm -f "$state/done" "$state/sim.state" ;;
    *) case " $all_parts " in *" $1 "*) parts="$parts $1" ;; *) die "no part $1; there are: $all_parts" ;; esac ;;
  esac
  shift
done
case $minutes in '' | *[!0-9]*) die "--minutes $minutes is no whole number of minutes" ;; esac
bin=$root/build/bin
cd "$root"

# Needs root, loop devices and /dev/fuse; without them the tests say so, and the part fails.
power_cuts() {
  "$bin/power_cut_test" --cuts 500 --dir "$state" && "$bin/block_replay_test" --images 300 --dir "$state" &&
    "$bin/sync_failure_test" --rounds 100 --dir "$state" &&
    TARN_LAKE_CUTS=200 ctest --preset release -R power.lake
}

run_part() {
  case $1 in
    sim) "$bin/tarn-sim" --minutes "$minutes" --jobs "$(nproc)" --state "$state/sim.state" ;;
    fuzz) python3 -B "$root/tests/fuzz/run.py" --minutes "$minutes" ;;
    kill) TARN_KILLS=500 ctest --preset release -R 'kill[.](store|kill_mount)' ;;
    power) power_cuts ;;
    metamorphic) TARN_METAMORPHIC=full "$bin/metamorphic_test" ;;
    faults) TARN_FAULTS=full ctest --preset release -R '^faults_' -j "$(nproc)" ;;
    corruption) TARN_CORRUPTION=full ctest --preset release -R '^corruption' -j "$(nproc)" ;;
    histories) TARN_HISTORIES=20000 "$bin/histories_test" ;;
    mutation) python3 -B "$root/tests/mutation/run.py" ;;
    coverage) python3 -B "$root/tests/coverage/coverage.py" ;;
  esac
}

for part in ${parts:-$all_parts}; do
  if grep -qx "$part" "$state/done" 2>/dev/null; then
    say "$part: done before; --again runs it anew"
    continue
  fi
  say "$part ($(date +%H:%M)); log: $state/$part.log"
  start=$SECONDS
  set -o pipefail
  run_part "$part" 2>&1 | tee "$state/$part.log" || die "$part failed; see $state/$part.log"
  set +o pipefail
  echo "$part" >>"$state/done"
  echo "$part: well, $((SECONDS - start)) s"
done
say "all is well"
