#!/usr/bin/env python3
"""Branch coverage of the core folders by the tests: how much, and exactly which branches no test has taken.

    coverage.py [--build DIR] [--min PERCENT] [--only REGEX] [--uncovered FILE]
      --build DIR       build of the preset `coverage` (default build-coverage); made when missing
      --min PERCENT     status 1 when the core folders together are below it (default 90)
      --only REGEX      of the test programs; default all. The others are neither built nor run, and count as they did
                        the last time: right only while nothing they use has changed.
      --uncovered FILE  where the list goes (default DIR/uncovered.txt)

Measured by clang's source-based coverage: a branch is one outcome of one condition in the source, so `a && b` has
four, and the hidden one in TARN_TRY and TARN_ASSIGN, which returns an error, counts like any other. Compiler-made
branches (exceptions, destructors) do not exist at this level. Copies of a template in several programs are one.
"""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORE = ("kernel", "wal", "compaction", "format", "lake")
TIMEOUT_SECONDS = 1200  # of one program
# These cut the power of real filesystems and kill what they measure, so they leave no profile.
WITHOUT_PROFILE = ("power_cut_test", "block_replay_test", "sync_failure_test")


def build(directory, only):
    subprocess.run(["cmake", "--preset", "coverage", "-B", directory], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    names = subprocess.run(["ninja", "-C", directory, "-t", "targets", "all"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    programs = sorted(set(re.findall(r"^bin/(\w+_test): CXX_EXECUTABLE", names, re.M)) - set(WITHOUT_PROFILE))
    programs = [program for program in programs if re.search(only, program)]
    print(f"building {len(programs)} test programs", flush=True)
    done = subprocess.run(["cmake", "--build", directory, "-j", str(os.cpu_count()), "--target", "fuzz_replay",
                           *programs], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"coverage: the build fails:\n{done.stdout[-3000:]}")
    return programs


def run(directory, programs):
    profiles = os.path.join(directory, "profiles")
    os.makedirs(profiles, exist_ok=True)
    for number, program in enumerate(programs, 1):
        print(f"[{number}/{len(programs)}] {program}", flush=True)
        env = dict(os.environ, LLVM_PROFILE_FILE=os.path.join(profiles, program + ".profraw"))
        done = subprocess.run([os.path.join(directory, "bin", program), "--gtest_brief=1"], cwd=directory, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_SECONDS)
        if done.returncode != 0:
            sys.exit(f"coverage: {program} fails, so what it covers proves nothing:\n{done.stdout[-2000:]}")


def replay(directory):
    """The stored inputs of the fuzz targets, as ctest runs them; %m lets the runs add to one profile."""
    corpora = os.path.join(ROOT, "tests", "fuzz", "corpus")
    profile = os.path.join(directory, "profiles", "fuzz_replay.%m.profraw")
    for target in sorted(os.listdir(corpora)):
        subprocess.run([os.path.join(directory, "bin", "fuzz_replay"), target, "--mutations", "1000",
                        os.path.join(corpora, target)], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, LLVM_PROFILE_FILE=profile), timeout=TIMEOUT_SECONDS)


def export(directory):
    profiles = os.path.join(directory, "profiles")
    raw = sorted(f for f in os.listdir(profiles) if f.endswith(".profraw"))
    merged = os.path.join(directory, "all.profdata")
    subprocess.run(["llvm-profdata-14", "merge", "-sparse", "-o", merged, *raw], cwd=profiles, check=True)
    programs = [os.path.join(directory, "bin", f.split(".")[0]) for f in raw]
    command = ["llvm-cov-14", "export", "-instr-profile", merged, "--skip-functions", programs[0]]
    for program in programs[1:]:
        command += ["-object", program]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout)["data"][0]["files"]


def branches_of(files):
    """{path: {(line, column): [times true, times false]}} of the core folders."""
    found = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for file in files:
        path = os.path.relpath(os.path.realpath(file["filename"]), ROOT)
        if path.split(os.sep)[0] not in CORE:
            continue
        for line, column, _, _, taken, refused, *_ in file["branches"]:
            found[path][line, column][0] += taken
            found[path][line, column][1] += refused
        for expansion in file["expansions"]:  # a macro: its branches stand where it is used
            line, column = expansion["source_region"][:2]
            for index, (*_, taken, refused, _, _, _) in enumerate(expansion["branches"]):
                found[path][line, column + index / 100][0] += taken
                found[path][line, column + index / 100][1] += refused
    return found


def report(found, uncovered_path):
    totals = collections.defaultdict(lambda: [0, 0])
    lines = []
    for path in sorted(found):
        with open(os.path.join(ROOT, path)) as source:
            text = source.read().splitlines()
        for (line, column), counts in sorted(found[path].items()):
            for outcome, count in zip(("true", "false"), counts):
                totals[path.split(os.sep)[0]][1] += 1
                if count:
                    totals[path.split(os.sep)[0]][0] += 1
                else:
                    lines.append(f"{path}:{line}:{int(column)}: never {outcome}: {text[line - 1].strip()}")
    with open(uncovered_path, "w") as out:
        out.write("\n".join(lines) + "\n")
    print(f"{'folder':<12} {'taken':>7} {'of':>7}  percent")
    for folder in CORE:
        taken, of = totals[folder]
        print(f"{folder:<12} {taken:>7} {of:>7}  {100 * taken / max(of, 1):.1f}")
    taken, of = (sum(t[i] for t in totals.values()) for i in (0, 1))
    percent = 100 * taken / max(of, 1)
    print(f"{'all':<12} {taken:>7} {of:>7}  {percent:.1f}")
    print(f"{len(lines)} branches that no test takes: {uncovered_path}")
    return percent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build-coverage"))
    parser.add_argument("--min", type=float, default=90)
    parser.add_argument("--only", default="")
    parser.add_argument("--uncovered")
    options = parser.parse_args()
    for tool in ("clang++", "llvm-cov-14", "llvm-profdata-14"):
        if shutil.which(tool) is None:
            sys.exit(f"coverage: {tool} is missing; apt-get install clang llvm-14")
    directory = os.path.abspath(options.build)
    run(directory, build(directory, options.only))
    replay(directory)
    percent = report(branches_of(export(directory)), options.uncovered or os.path.join(directory, "uncovered.txt"))
    return 1 if percent < options.min else 0


if __name__ == "__main__":
    sys.exit(main())
