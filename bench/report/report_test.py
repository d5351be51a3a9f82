"""tarn-bench as its users run it, the page that run_all makes, and the verdicts on targets.

The program comes in $TARN_BENCH. One class: TARN_BENCH=build/bin/tarn-bench python3 -m unittest report_test.TableTest
"""
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import targets

BENCH = os.environ["TARN_BENCH"]
HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = ("ops_per_second", "latency_us", "cpu_s_per_million", "write_amp", "read_amp", "space_amp", "space_amp_max",
           "settle_seconds", "peak_rss_bytes", "missing", "latency_curve", "ops_over_time", "engine_config")
TINY = ("--keys", "2000", "--seconds", "0.05", "--rounds", "2")


def engines():
    """Those that were compiled in, from --list."""
    text = subprocess.run([BENCH, "--list"], check=True, capture_output=True, text=True).stdout
    lines = text.split("engines:\n")[1].splitlines()
    return [line.split()[0] for line in lines if "not compiled in" not in line]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tarn-bench-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.stores = os.path.join(self.folder, "stores")

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *args, status=0, **more):
        done = subprocess.run([BENCH, *args], capture_output=True, text=True, cwd=self.folder, timeout=240,
                              check=False, **more)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done

    def rows(self, name="rows.json"):
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)


class TableTest(Case):
    def setUp(self):
        super().setUp()
        self.workloads = ["fillrandom", "overwrite", "readrandom"]
        self.done = self.bench(*TINY, "--workloads", ",".join(self.workloads), "--dir", self.stores,
                               "--json", self.path("rows.json"), "--plot", self.path("rows.svg"))

    def check_row(self, row):
        name = f"{row['workload']} {row['engine']}"
        self.assertIsNone(row["error"], name)
        for key in FIGURES:
            self.assertIn(key, row, name)
        ops = row["ops_per_second"]
        by_round = [r["ops_per_second"] for r in row["rounds"]]
        self.assertEqual(len(by_round), 2, name)
        self.assertEqual((ops["min"], ops["max"]), (min(by_round), max(by_round)), name)
        self.assertAlmostEqual(ops["median"], statistics.median(by_round), msg=name)
        self.assertGreater(ops["min"], 0, name)
        latency = row["latency_us"]
        self.assertTrue(0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"], name)
        self.assertGreater(row["peak_rss_bytes"], 1 << 20, name)
        self.assertEqual(row["write_amp"] is None, row["workload"] == "readrandom", name)
        self.assertEqual(row["parameters"]["keys"], 2000, name)
        self.assertGreater(row["machine"]["cores"], 0, name)

    def test_rows(self):
        rows = self.rows()
        self.assertEqual([(r["workload"], r["engine"]) for r in rows],
                         [(w, e) for w in self.workloads for e in engines()])
        for row in rows:
            self.check_row(row)
            self.assertEqual("ratio" in row, row["engine"] == "tarn")
        for tarn in (r for r in rows if r["engine"] == "tarn"):
            self.assertEqual(set(tarn["ratio"]), set(engines()) - {"tarn"})
            for peer, ratio in tarn["ratio"].items():
                other = next(r for r in rows if r["workload"] == tarn["workload"] and r["engine"] == peer)
                self.assertAlmostEqual(ratio, tarn["ops_per_second"]["median"] / other["ops_per_second"]["median"])
        self.check_table(rows)
        self.check_picture()
        self.assertFalse(os.path.exists(self.stores), "the stores are still there")

    def check_table(self, rows):
        for row in rows:
            block = self.done.stdout.split(f"\n{row['workload']} (")[1]
            line = re.search(rf"^  {row['engine']} +([\d,.]+) ", block, re.M)
            shown = float(line.group(1).replace(",", ""))
            self.assertLess(abs(shown - row["ops_per_second"]["median"]), 0.51, line.group(0))
        self.assertEqual(len(self.done.stderr.splitlines()), len(rows), "a line of progress for each row")

    def check_picture(self):
        root = xml.etree.ElementTree.parse(self.path("rows.svg")).getroot()
        words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
        for name in (*self.workloads, *engines()):
            self.assertIn(name, words)


class FailureTest(Case):
    def assert_one_line(self, done, *pieces):
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for piece in pieces:
            self.assertIn(piece, done.stderr)

    def test_mistakes(self):
        for args, pieces in (
                (("--engines", "tran"), ("no engine 'tran'", "'tarn'")),
                (("--workloads", "readrandm"), ("'readrandm'", "did you mean 'readrandom'")),
                (("--workloads", "randomread"), ("--list",)),
                (("--keyz", "5"), ("no option '--keyz'", "'--keys'")),
                (("--keys", "many"), ("--keys", "'many'")),
                (("--memory-budget", "5XB"), ("--memory-budget", "256MiB", "'5XB'")),
                (("--value-size", "1GiB"), ("64 MiB",)),
                (("--durability", "full"), ("none, process or power",)),
                (("--plot", "a.png"), (".svg",)),
                (("readrandom",), ("--workloads",))):
            with self.subTest(args):
                self.assert_one_line(self.bench(*args, status=2), *pieces)

    def test_an_engine_that_was_not_compiled_in(self):
        listed = self.bench("--list").stdout
        for name, package in re.findall(r"^  (\w+) +not compiled in; needs (\S+)$", listed, re.M):
            self.assert_one_line(self.bench("--engines", name, status=2), name, "apt-get install " + package)

    def test_a_directory_that_is_not_ours(self):
        os.makedirs(self.path("stores/theirs"))
        self.assert_one_line(self.bench("--dir", self.stores, status=1), "is not empty")
        self.assertTrue(os.path.exists(self.path("stores/theirs")))
        self.assert_one_line(self.bench("--dir", "/proc/tarn-bench", status=1), "/proc/tarn-bench")

    def test_a_run_that_dies(self):
        # No file may grow beyond 64 KiB: the child is killed, or its engine meets an error.
        limit = 64 << 10
        done = self.bench("--engines", "tarn", "--workloads", "fillrandom,readrandom", "--keys", "20000",
                          "--rounds", "2", "--dir", self.stores, "--json", self.path("rows.json"), status=1,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        fill, read = self.rows()
        self.assertEqual((fill["workload"], read["workload"]), ("fillrandom", "readrandom"))
        self.assertTrue(fill["error"])
        self.assertIn("loading the data set", read["error"])
        self.assertIsNone(fill["ops_per_second"])
        self.assertEqual(fill["rounds"], [])
        self.assertEqual(done.stdout.count("failed: "), 2)
        self.assertFalse(os.path.exists(self.stores))

    def test_ctrl_c(self):
        command = [BENCH, "--engines", "tarn", "--workloads", "fillrandom,overwrite,readrandom", "--keys", "2000",
                   "--rounds", "1", "--seconds", "600", "--dir", self.stores, "--json", self.path("rows.json")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(process.kill)
                self.assertIn("fillrandom", process.stderr.readline())  # overwrite goes on for ten minutes
                process.send_signal(signal.SIGINT)
                out, _ = process.communicate(timeout=240)
        self.assertEqual(process.returncode, 130)
        fill, overwrite, read = self.rows()
        self.assertIsNone(fill["error"])
        self.assertEqual((overwrite["error"], read["error"]), ("stopped", "stopped"))
        self.assertEqual(out.count("failed: stopped"), 2)
        self.assertFalse(os.path.exists(self.stores))


class PageTest(Case):
    def test_run_all_quick(self):
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "..", "run_all"), "--quick", "--bench", BENCH,
                               "--dir", self.stores, "--results", self.path("results")],
                              capture_output=True, text=True, timeout=240, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)  # 1: a row failed, and says so on the page
        with open(self.path("results/benchmarks.md"), encoding="utf-8") as file:
            page = file.read()
        for suite in ("main", "second", "large", "ycsb", "cold", "sustained"):
            rows = self.rows(f"results/{suite}.json")
            self.assertTrue(rows)
            for row in rows:
                self.assertIn(f"| {row['workload']} | {row['engine']} | ", page)
            self.assertIn(f"(benchmarks-{suite}.svg)", page)
        self.assertRegex(page, r"\| create \| ops/s \||Not measured: tarn bench mount")
        asked = set(re.findall(r"\n\| ([\w+-]+) \| tarn \| ", page))
        self.assertLessEqual({"fillrandom", "readrandom", "overwrite", "fill-4k", "ycsb-a", "multireadcold"}, asked)
        self.assertNotIn("{{", page)


def row(workload, engine, **more):
    return {"workload": workload, "engine": engine, "error": None,
            "parameters": {"memory_budget_bytes": 256 << 20}, **more}


class TargetsTest(unittest.TestCase):
    def verdict(self, results, what, workload, **more):
        found = [t for t in targets.load() if t["what"] == what and all(t.get(k) == v for k, v in more.items())
                 and (t["workloads"] == "*" or workload in t["workloads"])]
        return targets.check(found[0], results, workload)

    def test_every_target_is_checked(self):
        rows = [row(w, e, ratio={"rocksdb": 1, "lmdb": 1}, ops_per_second={"median": 1}, latency_us={"max": 1},
                    ops_over_time=[1], write_amp=1, space_amp=1, space_amp_max=1, peak_rss_bytes=1)
                for w in ("fillsync", "fillsync16", "overwrite") for e in ("tarn", "rocksdb")]
        results = {suite: rows for suite in ("main", "second", "large", "ycsb", "cold", "sustained")}
        results["device"] = {"rounds": [{"tarn": 8, "fio": 10}], "error": None}
        self.assertGreater(len(targets.verdicts(results)), len(targets.load()))

    def test_ratio(self):
        results = {"main": [row("fillseq", "tarn", ratio={"rocksdb": 1.5})]}
        self.assertTrue(self.verdict(results, "ratio", "fillseq", suite="main", least=1.0)[2])
        self.assertFalse(self.verdict(results, "ratio", "fillseq", suite="main", least=2.0)[2])

    def test_what_was_not_measured_is_not_met(self):
        failed = row("fillseq", "tarn", ratio={})
        failed["error"] = "killed"
        nothing = ("not measured", False)
        self.assertEqual(self.verdict({"main": [failed]}, "ratio", "fillseq", suite="main")[1:], nothing)
        no_device = {"device": {"rounds": [], "error": "no fio"}}
        self.assertEqual(self.verdict(no_device, "device", "multireadcold")[1:], nothing)

    def test_gap(self):
        self.assertEqual(targets.longest_gap([5, 0, 0, 0, 5, 0]), 0.3)
        for holes, met in ((9, True), (10, False)):
            results = {"sustained": [row("overwrite", "tarn", ops_over_time=[1] + [0] * holes + [1])]}
            self.assertEqual(self.verdict(results, "gap", "overwrite")[2], met)

    def test_less_than_the_peer(self):
        for mine, met in ((4.0, True), (9.0, False)):
            rows = [row("overwrite", "tarn", write_amp=mine), row("overwrite", "rocksdb", write_amp=6.0)]
            results = {"sustained": rows}
            self.assertEqual(self.verdict(results, "less", "overwrite", figure="write_amp")[2], met)

    def test_memory(self):
        for mib, met in ((320, True), (321, False)):
            results = {"main": [row("readseq", "tarn", peak_rss_bytes=mib << 20)]}
            self.assertEqual(self.verdict(results, "memory", "readseq", suite="main")[2], met)


if __name__ == "__main__":
    unittest.main()
