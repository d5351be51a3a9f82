#!/usr/bin/env python3
"""A store in a bucket beside rclone: how fast bytes get in and out, and what hedged reads are good for.

    bench/s3/s3_bench.py [--mib 512] [--rounds 3] [--parallel 4] [--delay-ms 20] [--reads 2000] [--quick]

Uses the S3 server that TARN_S3_ENDPOINT names, or starts scripts/s3_server. Each round runs Tarn and rclone in turn,
on the same number of random bytes, each through the same number of requests at a time: 8 MiB files for rclone
(--transfers), 8 MiB parts for Tarn (parallel_parts). What is timed: the whole process for rclone; from before the
open to after the flush, or the last row, for Tarn. Printed are medians. Then the same reads with each request delayed
by --delay-ms on the way, as over a network; and point reads through a proxy that delays 2 % of the GETs by 300 ms.
Programs: build/bin (or $TARN_BIN), and rclone (Debian: apt install rclone); without it Tarn's figures stand alone.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TARN_BIN", ROOT / "build" / "bin"))
FILE_MIB = 8
VALUE_KIB = 64


def fail(why):
    sys.exit(f"s3_bench: {why}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=512, help="of values in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=4, help="requests at a time")
    parser.add_argument("--delay-ms", type=int, default=20, help="of the network of the second table")
    parser.add_argument("--reads", type=int, default=2000, help="point reads of the third table")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, which prove only that it works")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.mib, chosen.rounds, chosen.reads, chosen.delay_ms = 16, 1, 100, 2
    return chosen


def environment():
    """That of the server: the one around us, or of a server that is started for us, and how to stop it."""
    if os.environ.get("TARN_S3_ENDPOINT"):
        return dict(os.environ), []
    if os.environ.get("TARN_S3_TESTS") == "off":
        print("TARN_S3_TESTS=off: no S3 server is started")
        sys.exit(77)
    script, stop = str(ROOT / "scripts" / "s3_server"), []
    if os.environ.get("TARN_S3_ENVIRONMENT"):  # ctest has started one
        told = pathlib.Path(os.environ["TARN_S3_ENVIRONMENT"]).read_text()
    else:
        started = subprocess.run([script, "start"], capture_output=True, text=True)
        if started.returncode != 0:
            fail(f"no S3 server: {started.stderr.strip()}")
        told, stop = started.stdout, [script, "stop"]
    shell = subprocess.run(["bash", "-c", told + "\nenv -0"], capture_output=True, text=True, check=True)
    return dict(pair.split("=", 1) for pair in shell.stdout.split("\0") if "=" in pair), stop


class Bench:
    def __init__(self, chosen, env, work):
        self.chosen, self.env, self.work = chosen, env, pathlib.Path(work)
        self.endpoint, self.bucket = env["TARN_S3_ENDPOINT"], env["TARN_S3_BUCKET"]
        self.prefix = f"bench-{os.getpid()}"
        self.rclone = shutil.which("rclone")

    def url(self, name, endpoint=None, **settings):
        settings = {"endpoint": endpoint or self.endpoint, "parallel_parts": self.chosen.parallel, **settings}
        return f"s3://{self.bucket}/{self.prefix}/{name}?" + "&".join(f"{k}={v}" for k, v in settings.items())

    def tarn(self, *words):
        ran = subprocess.run([str(BIN / "s3_bench"), *map(str, words)], capture_output=True, text=True, env=self.env)
        if ran.returncode != 0:
            fail(ran.stderr.strip())
        return json.loads(ran.stdout)

    def rclone_env(self, endpoint):
        env = {**self.env, "RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
               "RCLONE_CONFIG_S3_ENV_AUTH": "true", "RCLONE_CONFIG_S3_ENDPOINT": endpoint or self.endpoint}
        env.pop("AWS_CA_BUNDLE", None)  # which rclone 1.60 cannot digest
        return env

    def copy(self, source, target, endpoint=None):
        """Seconds of one rclone."""
        begun = time.monotonic()
        command = [self.rclone, "copy", "--config", "/dev/null", "--transfers", str(self.chosen.parallel)]
        ran = subprocess.run([*command, str(source), str(target)], capture_output=True, text=True,
                             env=self.rclone_env(endpoint))
        if ran.returncode != 0:
            fail(f"rclone: {ran.stderr.strip()}")
        return time.monotonic() - begun

    def remove(self):
        """Of everything in the bucket that is ours: the server keeps it in memory."""
        for n in range(self.chosen.rounds):
            subprocess.run([str(BIN / "s3_bench"), "erase", self.url(f"store{n}")], capture_output=True, env=self.env)
        if self.rclone:
            subprocess.run([self.rclone, "purge", "--config", "/dev/null", f"s3:{self.bucket}/{self.prefix}"],
                           env=self.rclone_env(None), capture_output=True)

    def files(self):
        source = self.work / "source"
        source.mkdir()
        for n in range(self.chosen.mib // FILE_MIB):
            (source / str(n)).write_bytes(os.urandom(FILE_MIB << 20))
        return source

    @contextlib.contextmanager
    def proxy(self, rule):
        proxy = subprocess.Popen([str(BIN / "tarn-fault-proxy"), "--upstream", self.endpoint, "--rule", rule],
                                 stdout=subprocess.PIPE, text=True)
        try:
            yield proxy.stdout.readline().split()[-1]
        finally:
            proxy.terminate()
            proxy.communicate()

    def transfers(self):
        """Seconds of each way for each side, by round; and Tarn's last answers."""
        took = {(side, way): [] for side in ("tarn", "rclone") for way in ("load", "read")}
        answers = {}
        source = self.files() if self.rclone else None
        for n in range(self.chosen.rounds):
            answers["load"] = self.tarn("load", self.url(f"store{n}"), self.chosen.mib, VALUE_KIB)
            took["tarn", "load"].append(answers["load"]["seconds"])
            if self.rclone:
                took["rclone", "load"].append(self.copy(source, f"s3:{self.bucket}/{self.prefix}/plain{n}"))
            answers["read"] = self.tarn("scan", self.url(f"store{n}"))
            took["tarn", "read"].append(answers["read"]["seconds"])
            if self.rclone:
                plain = f"s3:{self.bucket}/{self.prefix}/plain{n}"
                took["rclone", "read"].append(self.copy(plain, self.work / "back"))
                shutil.rmtree(self.work / "back")
        return took, answers

    def delayed(self):
        took = {("tarn", "read"): [], ("rclone", "read"): []}
        with self.proxy(f"delay-request,delay={self.chosen.delay_ms}") as endpoint:
            for _ in range(self.chosen.rounds):
                took["tarn", "read"].append(self.tarn("scan", self.url("store0", endpoint))["seconds"])
                if self.rclone:
                    source = f"s3:{self.bucket}/{self.prefix}/plain0"
                    took["rclone", "read"].append(self.copy(source, self.work / "back", endpoint))
                    shutil.rmtree(self.work / "back")
        return took

    def tail(self):
        return {hedge: self.tarn("tail", self.url("store0", hedge=hedge), self.chosen.reads, self.endpoint)
                for hedge in ("off", "on")}


def print_transfers(title, took, mib):
    print(f"{title}\n{'':22}{'Tarn':>12}{'rclone':>12}{'ratio':>8}")
    for way in ("load", "read"):
        if ("tarn", way) not in took:
            continue
        speed = {side: mib / statistics.median(took[side, way]) for side in ("tarn", "rclone") if took[side, way]}
        line = f"{way + ', MiB/s':22}{speed['tarn']:12.0f}"
        if "rclone" in speed:
            line += f"{speed['rclone']:12.0f}{speed['tarn'] / speed['rclone']:8.2f}"
        print(line)
    print()


def main():
    chosen = arguments()
    env, stop = environment()
    # Memory, not a disk: what is measured is the way to the bucket.
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as work:
        bench = Bench(chosen, env, work)
        try:
            took, answers = bench.transfers()
            print_transfers(f"{chosen.mib} MiB, {chosen.parallel} requests at a time, medians of {chosen.rounds}",
                            took, chosen.mib)
            for way, answer in answers.items():
                print(f"{way}: {answer['sent']} bytes sent, {answer['received']} received, {answer['requests']}")
            print()
            print_transfers(f"each request delayed by {chosen.delay_ms} ms", bench.delayed(), chosen.mib)
            print("cold point reads, 2 % of the GETs delayed by 300 ms; microseconds")
            print(f"{'hedge':8}{'reads':>8}{'p50':>10}{'p95':>10}{'p99':>10}{'p99.9':>10}{'max':>10}{'hedges':>8}")
            for hedge, row in bench.tail().items():
                latencies = "".join(f"{row[q]:10.0f}" for q in ("p50", "p95", "p99", "p999", "max"))
                print(f"{hedge:8}{row['reads']:8}{latencies}{row['hedges']:8}")
        finally:
            bench.remove()
            if stop:
                subprocess.run(stop)


if __name__ == "__main__":
    main()
