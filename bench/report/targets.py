"""What Tarn is meant to reach (targets.json) against what was measured.

A check gives (what was wanted, what was measured, whether it is met). A figure that was not measured is no excuse:
the check says so, and is not met. `results` maps a suite to its rows, the JSON of tarn-bench; "device" maps to the
rounds of run_all: {"rounds": [{"tarn": keys a second, "fio": reads a second}], "error": text or null}.
"""
import json
import os
import statistics

HERE = os.path.dirname(os.path.abspath(__file__))
NOTHING = "not measured"
TENTHS = 10  # of a second in one entry of ops_over_time: ten empty ones in a row are a second without progress


def load():
    with open(os.path.join(HERE, "targets.json"), encoding="utf-8") as file:
        return json.load(file)


def row_of(results, suite, workload, engine):
    for row in results.get(suite) or []:
        if row["workload"] == workload and row["engine"] == engine:
            return row
    return None


def longest_gap(samples):
    """Seconds of the longest stretch in which no operation ended."""
    longest = now = 0
    for count in samples:
        now = now + 1 if count == 0 else 0
        longest = max(longest, now)
    return longest / TENTHS


def device_ratio(device):
    """Median over the rounds: Tarn's keys a second by fio's reads a second in the same round. None: not measured."""
    if not device or device.get("error") or not device.get("rounds"):
        return None
    return statistics.median(r["tarn"] / r["fio"] for r in device["rounds"])


def at_least(value, least, wanted, unit="x"):
    if value is None:
        return wanted, NOTHING, False
    return wanted, f"{value:.2f}{unit}", value >= least


def at_most(value, most, wanted, unit):
    if value is None:
        return wanted, NOTHING, False
    return wanted, f"{value:,.2f}{unit}", value <= most


def figure(row, name):
    return None if row is None or row["error"] else row[name]


def check(target, results, workload):
    what, suite = target["what"], target["suite"]
    if what == "device":
        return at_least(device_ratio(results.get("device")), target["least"], f">= {target['least']:g}x fio")
    tarn = row_of(results, suite, workload, "tarn")
    if what == "ratio":
        value = (figure(tarn, "ratio") or {}).get(target["peer"])
        return at_least(value, target["least"], f">= {target['least']:g}x {target['peer']}")
    if what == "times":
        mine, base = (figure(row_of(results, suite, w, "tarn"), "ops_per_second") for w in (workload, target["of"]))
        value = mine["median"] / base["median"] if mine and base else None
        return at_least(value, target["least"], f">= {target['least']:g}x {target['of']}")
    if what == "longest":
        latency = figure(tarn, "latency_us")
        wanted = f"longest write <= {target['most']:g} ms"
        return at_most(latency and latency["max"] / 1e3, target["most"], wanted, " ms")
    if what == "gap":
        samples = figure(tarn, "ops_over_time")
        return at_most(None if samples is None else longest_gap(samples), target["most"], "no second without a write",
                       " s without")
    if what == "less":
        name = target["figure"]
        theirs = figure(row_of(results, suite, workload, target["peer"]), name)
        wanted = f"{name} below {target['peer']}'s" + (f" {theirs:.2f}" if theirs is not None else "")
        mine = figure(tarn, name)
        return at_most(mine if theirs is not None else None, theirs or 0, wanted, "")
    if what == "figure":
        wanted = f"{target['figure']} <= {target['most']:g}"
        return at_most(figure(tarn, target["figure"]), target["most"], wanted, "")
    if what == "memory":
        if tarn is None:
            return "peak memory within the budget", NOTHING, False
        most = (tarn["parameters"]["memory_budget_bytes"] >> 20) + target["over_budget_mib"]
        peak = figure(tarn, "peak_rss_bytes")
        return at_most(peak and peak / 2**20, most, f"peak memory <= {most} MiB", " MiB")
    raise ValueError(f"targets.json: nobody checks '{what}'")


def workloads_of(target, results):
    if target["workloads"] != "*":
        return target["workloads"]
    return list(dict.fromkeys(row["workload"] for row in results.get(target["suite"]) or []))


def verdicts(results):
    """(suite, workload, peer or None, wanted, measured, met) of every target, for the suites that were run."""
    out = []
    for target in load():
        if not results.get(target["suite"]):
            continue
        for workload in workloads_of(target, results):
            out.append((target["suite"], workload, target.get("peer"), *check(target, results, workload)))
    return out
