#!/usr/bin/env bash
# programs_test.sh MOUNT_PROGRAM: real programs on a mounted lake. Each leaves something that can be compared: with
# the source, by its own checker, or after the lake was unmounted and mounted again.
#
# Exit status 77 (skipped) only where /dev/fuse is absent. A program that this machine does not have is an error,
# not a skip: the list below is what the test is.
set -euo pipefail

mount_program=$1
[ -e /dev/fuse ] || { echo "skipped: /dev/fuse is absent, so nothing can be mounted here"; exit 77; }

base=$(mktemp -d "${TMPDIR:-/tmp}/tarn-programs.XXXXXX")
lake=$base/lake mnt=$base/mnt src=$base/src
mkdir "$lake" "$mnt" "$src"
server=

cleanup() {
  local status=$?
  cd /
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null || true
  [ "$status" -eq 0 ] || { echo "FAILED ($status) in: ${step:-start}"; cat "$base/server.log" 2>/dev/null || true; }
  rm -rf "$base"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP INT TERM

step() { step=$*; echo "--- $step"; }

mount_lake() {
  : > "$base/ready"
  "$mount_program" "$lake" "$mnt" > "$base/ready" 2> "$base/server.log" &
  server=$!
  until grep -q ready "$base/ready"; do
    kill -0 "$server" 2>/dev/null || { echo "the mount ended at once"; return 1; }
  done
}

# Ends with a check of the whole lake, in the mount program.
unmount_lake() {
  kill -TERM "$server"
  local pid=$server
  server=
  wait "$pid"
}

remount_lake() { unmount_lake; mount_lake; }

# A tree with what copying gets wrong: holes, links of both kinds, modes, times, attributes, odd names.
make_source() {
  mkdir -p "$src/dir/deep/deeper" "$src/many" "$src/empty"
  head -c 3000000 /dev/urandom > "$src/dir/random"
  head -c 70000 /dev/zero > "$src/dir/zeros"
  : > "$src/dir/nothing"
  truncate -s 5M "$src/dir/sparse"
  printf 'island' | dd of="$src/dir/sparse" bs=1 seek=3000000 conv=notrunc status=none
  ln "$src/dir/random" "$src/dir/deep/same-file"
  ln -s ../random "$src/dir/deep/link"
  ln -s /nowhere/at/all "$src/dangling"
  mkfifo "$src/fifo"
  printf 'x' > "$src/$(printf 'odd \n name \\ "\xc3\xa4\xff')"
  printf 'mode' > "$src/dir/mode"; chmod 4751 "$src/dir/mode"
  chmod 2750 "$src/empty"
  for i in $(seq 300); do printf 'file %s\n' "$i" > "$src/many/$i"; done
  touch -d '1999-12-31 23:59:59.123456789' "$src/dir/zeros" "$src/many/7"
  touch -h -d '2001-01-01 00:00:00.5' "$src/dangling"
  if command -v setfattr > /dev/null; then
    setfattr -n user.note -v 'an attribute' "$src/dir/random"
    setfattr -n user.empty "$src/many"
  fi
  touch -d '2010-10-10 10:10:10.101010101' "$src/dir/deep" "$src/many" "$src/empty"
}

# What rsync would still change to make $2 like $1, by content and with every attribute; must be nothing.
same_tree() {
  local left
  left=$(rsync -aHAXnic --delete "$1/" "$2/")
  [ -z "$left" ] || { echo "differs:"; echo "$left"; return 1; }
  diff -r --no-dereference -x fifo "$1" "$2"
}

make_source
mount_lake

step "cp -a"
cp -a "$src" "$mnt/cp"
same_tree "$src" "$mnt/cp"
[ "$(stat -c %b "$mnt/cp/dir/sparse")" -lt 1000 ] || { echo "cp filled the hole"; exit 1; }
[ "$(stat -c %i "$mnt/cp/dir/random")" = "$(stat -c %i "$mnt/cp/dir/deep/same-file")" ]

step "rsync -aHAX"
rsync -aHAX "$src/" "$mnt/rsync/"
same_tree "$src" "$mnt/rsync"

step "tar"
mkdir "$mnt/tar"
tar -C "$src" --sparse -cf "$mnt/archive.tar" .
tar -C "$mnt/tar" -xpf "$mnt/archive.tar"
diff -r --no-dereference -x fifo "$src" "$mnt/tar"
# Out of the lake again; a file that was just written must not pass for a hole.
head -c 200000 /dev/urandom > "$mnt/tar/fresh"
mkdir "$base/out"
tar -C "$mnt/tar" --sparse -cf - . | tar -C "$base/out" -xpf -
diff -r --no-dereference -x fifo "$mnt/tar" "$base/out"

step "the same trees after mounting again"
remount_lake
same_tree "$src" "$mnt/cp"
same_tree "$src" "$mnt/rsync"

step "rm -rf"
rm -rf "$mnt/cp" "$mnt/tar" "$mnt/archive.tar"
[ "$(ls -A "$mnt")" = rsync ]

step "git"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
       GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main "$base/repo"
for i in $(seq 20); do
  mkdir -p "$base/repo/d$((i % 5))"
  seq "$((i * 100))" > "$base/repo/d$((i % 5))/f$i"
  git -C "$base/repo" add -A
  git -C "$base/repo" commit -qm "commit $i"
done
git clone -q --no-local "$base/repo" "$mnt/clone"
git -C "$mnt/clone" fsck --full --strict 2>&1
seq 99999 > "$mnt/clone/new"
git -C "$mnt/clone" add new
git -C "$mnt/clone" commit -qm "in the lake"
git -C "$mnt/clone" checkout -q -b other HEAD~5
git -C "$mnt/clone" checkout -q main
git -C "$mnt/clone" repack -adq
git -C "$mnt/clone" gc -q
git -C "$mnt/clone" fsck --full --strict 2>&1
[ -z "$(git -C "$mnt/clone" status --porcelain)" ]
diff -r -x .git -x new "$base/repo" "$mnt/clone"

step "sqlite in WAL mode"
db=$mnt/test.db
[ "$(sqlite3 "$db" 'pragma journal_mode=wal;')" = wal ]
sqlite3 "$db" "create table t(id integer primary key, body text);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
  insert into t select i, hex(randomblob(40)) from n;"
sqlite3 "$db" 'begin; delete from t where id % 3 = 0; update t set body = upper(body) || id where id % 7 = 0; commit;'
for i in 1 2 3 4; do  # writers beside each other: locks and shared memory
  for j in $(seq 20); do echo "insert into t(body) values('writer $i row $j');"; done |
    sqlite3 -cmd '.timeout 20000' "$db" &
  writers+=($!)
done
for pid in "${writers[@]}"; do wait "$pid"; done
[ "$(sqlite3 "$db" 'pragma integrity_check;')" = ok ]
rows=$((20000 - 20000 / 3 + 80))
[ "$(sqlite3 "$db" 'select count(*) from t;')" = "$rows" ]
remount_lake
[ "$(sqlite3 "$db" 'pragma integrity_check; select count(*) from t;')" = "ok"$'\n'"$rows" ]

step "make -j2"
project=$mnt/project
mkdir "$project"
printf '#pragma once\n' > "$project/all.h"
printf '#include <stdio.h>\n#include "all.h"\nint main(void) { int sum = 0;\n' > "$project/main.c"
for i in $(seq 12); do
  printf '#include "all.h"\nint f%s(void) { return %s; }\n' "$i" "$i" > "$project/f$i.c"
  printf 'int f%s(void);\n' "$i" >> "$project/all.h"
  printf '  sum += f%s();\n' "$i" >> "$project/main.c"
done
printf '  printf("%%d\\n", sum);\n  return 0;\n}\n' >> "$project/main.c"
{
  printf 'sources := $(wildcard *.c)\nprogram: $(sources:.c=.o)\n\t$(CC) -o $@ $^\n'
  printf '%%.o: %%.c all.h\n\t$(CC) -c -o $@ $<\n'
} > "$project/Makefile"
make -s -C "$project" -j2
[ "$("$project/program")" = 78 ]
[ "$(make -C "$project" -q && echo fresh)" = fresh ]
touch "$project/f3.c"
[ "$(make -C "$project" | grep -c -- ' -c ')" = 1 ]

step "fio --verify"
for engine in psync mmap; do
  fio --name=verify --directory="$mnt" --filename="fio.$engine" --ioengine="$engine" --rw=randwrite --bsrange=4k-64k \
      --size=8m --verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0 --fsync=64 --minimal \
      > "$base/fio.log" 2>&1 ||
    { cat "$base/fio.log"; exit 1; }
done

step "fio on two jobs in one file system, direct"
fio --name=direct --directory="$mnt" --ioengine=psync --direct=1 --rw=randrw --bs=4k --size=4m --numjobs=2 \
    --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal \
    > "$base/fio.log" 2>&1 || { cat "$base/fio.log"; exit 1; }

step "unmount, with a check of the whole lake"
unmount_lake
echo "all programs passed"
