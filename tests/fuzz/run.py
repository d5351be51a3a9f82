#!/usr/bin/env python3
"""Builds the preset `fuzz` and runs its targets.

    tests/fuzz/run.py                        every target for 6 s: about a minute on two cores
    tests/fuzz/run.py --minutes 60           one hour over all of them together
    tests/fuzz/run.py --seconds 300 wal table       these targets, five minutes each

Each target starts from tests/fuzz/corpus/TARGET, tests/fuzz/regress/TARGET and what earlier runs found, kept in
build-fuzz/corpus/TARGET. An input that fails is made smaller and left in build-fuzz/found; the command that runs it
again is printed. Once its cause is mended it belongs into tests/fuzz/regress/TARGET. Status: 0 nothing was found,
1 something was, 2 it could not run.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build-fuzz")
PROGRAM = os.path.join(BUILD, "bin", "tarn_fuzz")
ONE_INPUT_SECONDS = 10  # far above any honest run under sanitizers, also beside a busy neighbour
RSS_MB = 2048
MINIMIZE_SECONDS = 20


def die(message):
    print(f"fuzz: {message}", file=sys.stderr)
    sys.exit(2)


def build():
    env = dict(os.environ, CCACHE_NOHASHDIR="1", CCACHE_BASEDIR=ROOT,
               CCACHE_SLOPPINESS="include_file_mtime,include_file_ctime")
    began = time.monotonic()
    jobs = str(os.cpu_count())
    for command in (["cmake", "--preset", "fuzz"], ["cmake", "--build", "--preset", "fuzz", "-j", jobs]):
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(done.stdout, file=sys.stderr)
            die(f"`{' '.join(command)}` failed; it needs clang and libclang-rt-14-dev")
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)


def list_targets():
    env = dict(os.environ, TARN_FUZZ_TARGET="list")
    out = subprocess.run([PROGRAM], env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: (int(most), int(malloc)) for name, most, malloc in (line.split() for line in out.splitlines())}


class Run:
    """One target for some seconds."""

    def __init__(self, name, limits, seconds):
        self.name, self.limits, self.seconds = name, limits, seconds
        self.corpus = os.path.join(BUILD, "corpus", name)
        self.found = os.path.join(BUILD, "found", name)
        self.failure = None
        self.executions = self.rate = self.coverage = self.features = self.inputs = 0

    def fuzz(self, *flags, inputs=()):
        most, malloc = self.limits
        command = [PROGRAM, f"-max_len={most}", f"-malloc_limit_mb={malloc}", f"-rss_limit_mb={RSS_MB}",
                   f"-timeout={ONE_INPUT_SECONDS}", f"-artifact_prefix={self.found}/", *flags, *inputs]
        return subprocess.run(command, env=dict(os.environ, TARN_FUZZ_TARGET=self.name), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)

    def go(self):
        for folder in (self.corpus, self.found):
            os.makedirs(folder, exist_ok=True)
        stored = [os.path.join(ROOT, "tests", "fuzz", kind, self.name) for kind in ("corpus", "regress")]
        done = self.fuzz(f"-max_total_time={self.seconds}", "-print_final_stats=1", "-reload=0",
                         inputs=[self.corpus] + [folder for folder in stored if os.path.isdir(folder)])
        self.read(done.stdout)
        if done.returncode != 0:
            self.explain(done.stdout)
        return self

    def read(self, log):
        for cov, ft, corpus, rate in re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)/\S+ .*?exec/s: (\d+)", log):
            self.coverage, self.features, self.inputs, self.rate = int(cov), int(ft), int(corpus), int(rate)
        units = re.search(r"number_of_executed_units: (\d+)", log) or re.search(r"Done (\d+) runs", log)
        self.executions = int(units.group(1)) if units else 0

    def explain(self, log):
        written = re.search(r"Test unit written to (\S+)", log)
        what = re.search(r"does not hold: .*|SUMMARY: .*|ERROR: libFuzzer: .*|.*runtime error: .*|CHECK.*", log)
        self.failure = what.group(0) if what else log[-2000:]
        if not written:
            return
        path = smaller = written.group(1)
        if "/crash-" in path:
            smaller = path.replace("/crash-", "/small-")
            self.fuzz("-minimize_crash=1", f"-max_total_time={MINIMIZE_SECONDS}", f"-exact_artifact_path={smaller}",
                      inputs=[path])
            if not os.path.exists(smaller):
                smaller = path
        self.failure += f"\n  again: TARN_FUZZ_TARGET={self.name} {os.path.relpath(PROGRAM, ROOT)} " \
                        f"{os.path.relpath(smaller, ROOT)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help="all, when none is named")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--seconds", type=int, help="for each target")
    how_long.add_argument("--minutes", type=float, help="for all targets together")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="targets run at once")
    parser.add_argument("--no-build", action="store_true", help="run the program as it was built last")
    args = parser.parse_args()
    if not args.no_build:
        build()
    known = list_targets()
    unknown = [name for name in args.targets if name not in known]
    if unknown:
        die(f"no target is named {unknown[0]}; there are {', '.join(known)}")
    names = args.targets or list(known)
    seconds = args.seconds or (int(args.minutes * 60 * args.jobs / len(names)) if args.minutes else 6)
    runs = [Run(name, known[name], max(seconds, 1)) for name in names]
    began, failures = time.monotonic(), 0
    print(f"{len(runs)} targets, {max(seconds, 1)} s each, {args.jobs} at once")
    print(f"{'target':<16}{'runs':>12}{'runs/s':>9}{'edges':>8}{'features':>10}{'inputs':>8}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for number, done in enumerate(concurrent.futures.as_completed([pool.submit(run.go) for run in runs]), 1):
            run = done.result()
            print(f"{run.name:<16}{run.executions:>12,}{run.executions // run.seconds:>9,}{run.coverage:>8}"
                  f"{run.features:>10}{run.inputs:>8}  ({number}/{len(runs)})", flush=True)
            if run.failure:
                failures += 1
                print(f"FOUND in {run.name}: {run.failure}", flush=True)
    total = sum(run.executions for run in runs)
    print(f"{total:,} runs in {time.monotonic() - began:.0f} s; " +
          (f"{failures} targets found something" if failures else "nothing was found"))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
