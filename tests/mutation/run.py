#!/usr/bin/env python3
"""Plants defects, one at a time, and demands that a test notices each: a test that cannot fail does not count.

    run.py --check              only that every mutant still applies and stands in docs/testing.md (ctest runs this)
    run.py [NAME...]            build and try all mutants, or those named; status 1 when one survives
    run.py --list               names, files and what must catch them
      --build DIR   where the copy of the tree and its build live (default build-mutation; kept: a rerun is cheap)
      --from NAME   go on after an interruption
      --markdown    print the table of docs/testing.md

A mutant (mutants.py) replaces one piece of text in one file and names the commands that must fail. The copy is built
once without a defect and each command must succeed there, else its failure later would prove nothing. Then each
defect is put in, what depends on it is rebuilt, and its commands run: *caught* when one fails by itself (a crash or a
timeout counts and is said), *survived* when all succeed. A mutant that does not compile is an error of the list.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from mutants import MUTANTS  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TIMEOUT_SECONDS = 600  # of one command: a defect may make a store wait for ever


def problems():
    """What is wrong with the list itself."""
    found, names = [], set()
    for m in MUTANTS:
        if m.name in names:
            found.append(f"{m.name}: the name is used twice")
        names.add(m.name)
        path = os.path.join(ROOT, m.file)
        if not os.path.exists(path):
            found.append(f"{m.name}: there is no {m.file}")
            continue
        with open(path) as source:
            count = source.read().count(m.old)
        if count != 1:
            found.append(f"{m.name}: its text stands {count} times in {m.file}, not once; follow the code")
        if m.old == m.new or not m.catch:
            found.append(f"{m.name}: changes nothing, or names no test")
    with open(os.path.join(ROOT, "docs", "testing.md")) as page:
        if table() not in page.read():
            found.append("docs/testing.md: the table of defects is not that of run.py --markdown; put it there")
    return found


class Copy:
    """A copy of the tree that may be damaged, and its build."""

    def __init__(self, directory):
        self.tree = os.path.join(directory, "tree")
        self.build = os.path.join(directory, "build")
        os.makedirs(directory, exist_ok=True)
        # By content, and without taking over times: what changes is newer than what was built from it, also when the
        # change is that a defect of an interrupted run goes out again.
        subprocess.run(["rsync", "-rlp", "--checksum", "--delete", "--exclude=/build*", "--exclude=.git", ROOT + "/",
                        self.tree + "/"], check=True)
        # Keep hits of ccache independent of where the copy lies.
        self.env = dict(os.environ, CCACHE_BASEDIR=self.tree, CCACHE_NOHASHDIR="1")
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            subprocess.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                            "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -DNDEBUG"], check=True, stdout=subprocess.DEVNULL,
                           env=self.env)

    def make(self, targets):
        command = ["cmake", "--build", self.build, "-j", str(os.cpu_count()), "--target", *sorted(targets)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.env)
        return done.returncode == 0, done.stdout

    def run(self, command):
        """None when it succeeds, else in a line how it failed, in the program's own words where it has any."""
        program = os.path.join(self.build, "bin", command[0])
        try:
            done = subprocess.run([program, *command[1:]], cwd=self.build, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=TIMEOUT_SECONDS, env=self.env)
        except subprocess.TimeoutExpired:
            return f"no end after {TIMEOUT_SECONDS} s"
        if done.returncode == 0:
            return None
        if done.returncode < 0:
            return f"signal {-done.returncode}"
        said = re.search(r"^(?:FAILED: .*|.*: Failure\n.*)$", done.stdout.decode(errors="replace"), re.M)
        return said.group().replace("\n", " ")[:200] if said else f"status {done.returncode}"

    def plant(self, mutant):
        """Puts the defect in; what it returns takes it out again."""
        path = os.path.join(self.tree, mutant.file)
        with open(path) as source:
            text = source.read()
        assert text.count(mutant.old) == 1, path

        def write(content):
            with open(path, "w") as target:
                target.write(content)

        write(text.replace(mutant.old, mutant.new))
        return lambda: write(text)


def targets_of(mutants):
    return {command[0] for m in mutants for command in m.catch}


def check_baseline(copy, mutants):
    print(f"building without a defect: {', '.join(sorted(targets_of(mutants)))}", flush=True)
    built, log = copy.make(targets_of(mutants))
    if not built:
        sys.exit(f"mutation: the tree does not build:\n{log[-3000:]}")
    for command in sorted({tuple(c) for m in mutants for c in m.catch}):
        failure = copy.run(command)
        if failure:
            sys.exit(f"mutation: without a defect `{' '.join(command)}` fails ({failure}); it would prove nothing")


def try_one(copy, mutant):
    """(what caught it, or None; how)"""
    take_out = copy.plant(mutant)
    try:
        built, log = copy.make(targets_of([mutant]))
        if not built:
            sys.exit(f"mutation: {mutant.name} does not compile:\n{log[-3000:]}")
        for command in mutant.catch:
            failure = copy.run(command)
            if failure:
                return " ".join(command), failure
        return None, ""
    finally:
        take_out()


def try_all(copy, mutants):
    check_baseline(copy, mutants)
    survivors = []
    for number, mutant in enumerate(mutants, 1):
        start = time.monotonic()
        by, how = try_one(copy, mutant)
        verdict = f"caught by {by} ({how})" if by else "SURVIVED"
        print(f"[{number}/{len(mutants)}] {mutant.name}: {verdict}, {time.monotonic() - start:.0f} s", flush=True)
        if not by:
            survivors.append(mutant.name)
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} defects were caught", flush=True)
    for name in survivors:
        print(f"survived: {name}", flush=True)
    return 1 if survivors else 0


def table():
    lines = ["| defect | file | caught by |", "|---|---|---|"]
    for m in MUTANTS:
        lines.append(f"| {m.what} | `{m.file}` | `{' '.join(m.catch[0][:3])}` |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--build", default=os.path.join(ROOT, "build-mutation"))
    parser.add_argument("--from", dest="start", metavar="NAME")
    options = parser.parse_args()
    if options.markdown:
        print(table())
        return 0
    if options.list:
        for m in MUTANTS:
            print(f"{m.name}: {m.file}: {m.what}; caught by {' or '.join(' '.join(c) for c in m.catch)}")
        return 0
    wrong = problems()
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong or options.check:
        if not wrong:
            print(f"{len(MUTANTS)} mutants apply")
        return 1 if wrong else 0
    known = [m.name for m in MUTANTS]
    for name in options.names + ([options.start] if options.start else []):
        if name not in known:
            sys.exit(f"mutation: there is no mutant {name}; see run.py --list")
    mutants = [m for m in MUTANTS if not options.names or m.name in options.names]
    if options.start:
        mutants = mutants[[m.name for m in mutants].index(options.start):]
    if shutil.which("rsync") is None:
        sys.exit("mutation: rsync is missing; apt-get install rsync")
    return try_all(Copy(os.path.abspath(options.build)), mutants)


if __name__ == "__main__":
    sys.exit(main())
