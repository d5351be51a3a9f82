#!/usr/bin/env python3
"""Renders docs/benchmarks.md from the results of bench/run_all: make_docs.py RESULTS PAGE.

Prose stands in page.template, with {{names}} that are filled in here; reasons why a row falls short in
reasons.json, under "workload/peer" or "workload". Every row of the results is on the page, whatever it says.
"""
import json
import os
import sys

import targets

HERE = os.path.dirname(os.path.abspath(__file__))
SUITES = {"main": "16-byte keys, 100-byte values", "second": "20-byte keys, 400-byte values", "large": "Large values",
          "ycsb": "YCSB", "cold": "Cold: data four times the memory budget", "sustained": "Sustained overwrite"}
COLUMNS = ("workload", "engine", "ops/s", "lowest .. highest", "p50 us", "p99 us", "p99.9 us", "max us", "CPU-s/M",
           "write", "read", "space (peak)", "RSS MiB", "Tarn / it")


def read(path):
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_results(folder):
    return {name: read(os.path.join(folder, f"{name}.json")) for name in (*SUITES, "device", "mount")}


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def times(ratio):
    return f"{ratio:.2g}x" if ratio < 0.1 else f"{ratio:.2f}x"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def row_cells(row, tarn):
    if row["error"]:
        why = "failed: " + row["error"].replace("|", "/")
        return [row["workload"], row["engine"], why] + [""] * (len(COLUMNS) - 3)
    ops, latency = row["ops_per_second"], row["latency_us"]
    peak = row["space_amp_max"]
    space = number(row["space_amp"]) + ("" if peak is None else f" ({number(peak)})")
    ratio = (tarn or {}).get("ratio", {}).get(row["engine"])
    return [row["workload"], row["engine"], number(ops["median"]), f"{number(ops['min'])} .. {number(ops['max'])}",
            *(number(latency[q]) for q in ("p50", "p99", "p999", "max")), number(row["cpu_s_per_million"]),
            number(row["write_amp"]), number(row["read_amp"]), space, number(row["peak_rss_bytes"] / 2**20),
            "-" if ratio is None else f"**{times(ratio)}**" if ratio < 1 else times(ratio)]


def suite_table(results, suite):
    rows = results.get(suite)
    if not rows:
        return "Not measured."
    p = rows[0]["parameters"]
    told = (f"`--keys {p['keys']} --key-size {p['key_bytes']} --value-size {p['value_bytes']}"
            f" --memory-budget {p['memory_budget_bytes'] >> 20}MiB --durability {p['durability']}"
            f" --threads {p['threads']} --rounds {p['rounds']} --seconds {p['seconds']:g}`")
    if suite in ("large", "cold"):
        told += ", as its first workload changes them"
    cells = [row_cells(row, targets.row_of(results, suite, row["workload"], "tarn")) for row in rows]
    return f"{told}\n\n{table(COLUMNS, cells)}"


def machine(results):
    rows = next((results[suite] for suite in SUITES if results.get(suite)), None)
    if rows is None:
        return "Nothing was measured."
    m = rows[0]["machine"]
    loads = [results[s][0]["machine"]["load_at_start"] for s in SUITES if results.get(s)]
    commits = {}  # in the order of the suites; a suite may have been measured anew by itself
    for suite in SUITES:
        if results.get(suite):
            commits.setdefault(results[suite][0]["machine"]["commit"], []).append(suite)
    told = "; ".join(commit + (f" ({', '.join(of)})" if len(commits) > 1 else "") for commit, of in commits.items())
    text = (f"Commit {told}, built by {m['build']}. {m['cpu']}, {m['cores']} cores, "
            f"{m['memory_bytes'] / 2**30:.1f} GiB, {m['kernel']}, {m['filesystem']}. "
            f"Load average when the suites began: {min(loads):.2f} to {max(loads):.2f}.")
    if max(loads) > 0.5 * m["cores"]:
        text += " **The machine was not idle: ratios may be off.**"
    return text


def configurations(results):
    """One line for each engine: its version, and what it was told in the first suite."""
    seen = {}
    for suite in SUITES:
        for row in results.get(suite) or []:
            if row["engine_config"]:
                told = f"- **{row['engine']}** {row['engine_version']}: {row['engine_config']}"
                seen.setdefault(row["engine"], told)
    return "\n".join(seen.values())


def reason(reasons, workload, peer=None):
    return reasons.get(f"{workload}/{peer}") or reasons.get(workload) or "not yet explained"


def missed(results, reasons):
    rows = [[suite, workload, wanted, measured,
             "-" if measured == targets.NOTHING else reason(reasons, workload, peer)]
            for suite, workload, peer, wanted, measured, met in targets.verdicts(results) if not met]
    if not rows:
        return "Every target of a suite that was run is met."
    return table(("suite", "workload", "target", "measured", "why"), rows)


def behind(results, reasons):
    rows = []
    for suite in SUITES:
        for row in results.get(suite) or []:
            for peer, ratio in sorted((row.get("ratio") or {}).items(), key=lambda item: item[1]):
                if ratio < 1:
                    why = reason(reasons, row["workload"], peer)
                    rows.append([suite, row["workload"], peer, times(ratio), why])
            if row["engine"] == "tarn" and row["error"]:
                rows.append([suite, row["workload"], "all", "failed", row["error"]])
    if not rows:
        return "No peer is ahead of Tarn in any row that was measured."
    return table(("suite", "workload", "peer", "Tarn / peer", "why"), rows)


def device(results):
    found = results.get("device")
    if not found:
        return "Not measured."
    if found.get("error"):
        return f"Not measured: {found['error']}"
    rows = [[str(i + 1), number(r["tarn"]), number(r["fio"]), times(r["tarn"] / r["fio"])]
            for i, r in enumerate(found["rounds"])]
    return table(("round", "Tarn, keys/s", "fio, reads/s", "Tarn / fio"), rows)


def mount(results):
    found = results.get("mount")
    if not found:
        return "Not measured."
    if found["error"]:
        return f"Not measured: {found['error']}"
    rows = []
    for row in found["rows"]:
        if "skipped" in row:
            rows.append([row["step"], row["unit"], "skipped: " + row["skipped"], "", ""])
            continue
        spreads = [f"{number(s['median'])} ({number(s['min'])} .. {number(s['max'])})"
                   for s in (row["native"], row["mount"])]
        ratio = times(row["ratio"])
        rows.append([row["step"], row["unit"], *spreads, f"**{ratio}**" if row["ratio"] < 1 else ratio])
    return f"`{found['command']}`\n\n" + table(("step", "unit", "native", "mount", "mount / native"), rows)


def plots(page):
    """The pictures that lie beside the page."""
    folder, out = os.path.dirname(os.path.abspath(page)), []
    for suite, title in SUITES.items():
        name = f"benchmarks-{suite}.svg"
        if os.path.exists(os.path.join(folder, name)):
            out.append(f"- [{title}]({name})")
    return "\n".join(out) or "None was drawn."


def render(folder, page):
    results = read_results(folder)
    reasons = read(os.path.join(HERE, "reasons.json"))
    with open(os.path.join(HERE, "page.template"), encoding="utf-8") as file:
        text = file.read()
    values = {"machine": machine(results), "configurations": configurations(results),
              "missed": missed(results, reasons), "behind": behind(results, reasons),
              "device": device(results), "mount": mount(results), "plots": plots(page),
              **{f"table:{suite}": suite_table(results, suite) for suite in SUITES}}
    for name, value in values.items():
        if "{{" + name + "}}" not in text:
            raise ValueError(f"page.template has no place for {{{{{name}}}}}")
        text = text.replace("{{" + name + "}}", value)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("make_docs: usage: make_docs.py RESULTS PAGE, as bench/run_all does")
    render(sys.argv[1], sys.argv[2])
