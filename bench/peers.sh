#!/usr/bin/env bash
# Installs the engines that tarn-bench compares Tarn with (RocksDB, LevelDB, LMDB, WiredTiger) and the tools it uses
# (fio, git) from the packages of Debian or Ubuntu, and builds tarn-bench with them.
#   bench/peers.sh
# Nothing else of the project needs them: without them tarn-bench has one engine, Tarn.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=peers.sh
# shellcheck source=scripts/setup.sh
. "$root/scripts/setup.sh"

[ $# -eq 0 ] || die "it takes no arguments; usage: bench/peers.sh"
install_packages bench
build tarn-bench
say "engines: $(sed -n 's/^TARN_BENCH_ENGINES:[A-Z]*=//p' "$root/build/CMakeCache.txt")"
echo "run: build/bin/tarn-bench --help"
