#!/usr/bin/env bash
# Throughput of a lake: import a tree, read it all through a mount (cold, then warm), write it back by export.
#   lake_bench.sh [--dir WORK] [--source TREE | --files N --file-bytes B]
# WORK (default: a fresh directory in $TMPDIR) should lie on the device that is meant. Without --source a tree of
# N files of B random bytes is made (default 2000 of 65536). Cold means: freshly mounted; the page cache of the
# device below is dropped, too, where this user may (a line says so). Prints one line a step: name, bytes, seconds,
# MiB/s. The program is $TARN, or build/bin/tarn.
set -eu
fail() { echo "lake_bench: $*" >&2; exit 1; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tarn=${TARN:-$root/build/bin/tarn}
work="" source="" files=2000 file_bytes=65536
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 is unknown or lacks its value"
  case $1 in
    --dir) work=$2 ;;
    --source) source=$(cd "$2" && pwd) || fail "$2 is no directory" ;;
    --files) files=$2 ;;
    --file-bytes) file_bytes=$2 ;;
    *) fail "$1 is unknown; see the top of this file" ;;
  esac
  shift 2
done
[ -x "$tarn" ] || fail "$tarn is no program; build first, or set TARN"
made=$(mktemp -d "${work:-${TMPDIR:-/tmp}}/lake_bench.XXXXXX")
mounted=""
clean_up() {
  [ -z "$mounted" ] || "$tarn" umount "$made/mnt" >/dev/null 2>&1 || true
  rm -rf "$made"
}
trap clean_up EXIT
export TARN_LAKE=$made/lake

if [ -z "$source" ]; then
  source=$made/source
  for ((i = 0; i < files; i++)); do
    [ $((i % 100)) -ne 0 ] || mkdir -p "$source/$((i / 100))"
    head -c "$file_bytes" /dev/urandom >"$source/$((i / 100))/$i"
  done
fi
bytes=$(find "$source" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%d", n }')
[ "$bytes" -gt 0 ] || fail "$source holds no bytes"

step() {  # step NAME COMMAND...
  local label=$1 begin end
  shift
  begin=$(date +%s%N)
  "$@" >"$made/out" 2>&1 || { cat "$made/out" >&2; fail "$label failed"; }
  end=$(date +%s%N)
  awk -v label="$label" -v b="$bytes" -v ns=$((end - begin)) \
    'BEGIN { printf "%-12s %14d bytes %9.3f s %9.1f MiB/s\n", label, b, ns / 1e9, b / 1048576 / (ns / 1e9) }'
}
read_all() { find "$1" -type f -exec cat {} + >/dev/null; }

"$tarn" --quiet init
step import "$tarn" --quiet import "$source" /data
if [ -c /dev/fuse ] && [ -r /dev/fuse ] && [ -w /dev/fuse ]; then
  mkdir "$made/mnt"
  sync
  if [ -w /proc/sys/vm/drop_caches ]; then
    echo 3 >/proc/sys/vm/drop_caches
    echo "the page cache was dropped before mount-cold"
  fi
  "$tarn" --quiet mount "$made/mnt"
  mounted=yes
  step mount-cold read_all "$made/mnt/data"
  step mount-warm read_all "$made/mnt/data"
  step mount-write cp -r "$source" "$made/mnt/copy"
  diff -r --no-dereference "$source" "$made/mnt/copy" >/dev/null || fail "what was written is not what is read"
  "$tarn" --quiet umount "$made/mnt"
  mounted=""
else
  echo "mount        not measured: /dev/fuse is not usable here"
fi
step export "$tarn" --quiet export /data "$made/out.tree"
diff -r --no-dereference "$source" "$made/out.tree" >/dev/null || fail "the export differs from the source"
