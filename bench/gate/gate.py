#!/usr/bin/env python3
"""Counts what each operation of bench/gate/gate_ops costs, and compares it with bench/gate/recorded.json.

    gate.py                       the table; status 1 if anything is more than the tolerance above what is recorded
    gate.py --record              writes today's figures as the recorded ones
    gate.py --top 15 get flush    where the instructions of these operations are spent
    gate.py --top 15 --misses     where the first-level cache (a simulated one) lacks what is asked for

Instructions, allocations and system calls for each operation, counted by callgrind: the same run gives the same
numbers, on a loaded machine too. They depend on compiler, flags, C library and processor. Where those differ from the
recorded ones nothing can be compared: that is said, and the status is 77 (ctest: skipped). So it is without valgrind.
"""
import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile

import callgrind

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "recorded.json")
SKIPPED = 77
COUNTERS = ("instructions", "allocations", "system_calls")


def figures(operations):
    """operation -> counter -> how many for one unit."""
    result = {}
    for name, units, profile in operations:
        total = profile.total()
        counts = (total.instructions, profile.allocations, total.system_calls)
        result[name] = {counter: round(count / units, 3) for counter, count in zip(COUNTERS, counts)}
    return result


def change(now, before):
    """In per cent; a counter that was zero and is not any more has grown without bound."""
    if before == 0:
        return 0.0 if now == 0 else float("inf")
    return 100.0 * (now / before - 1)


def compare(now, recorded, tolerance):
    """Lines that say what is above the recorded figures, or has none."""
    wrong = []
    for name, counters in now.items():
        if name not in recorded:
            wrong.append(f"{name} has no recorded figure; run gate.py --record")
            continue
        for counter in COUNTERS:
            grown = change(counters[counter], recorded[name][counter])
            if grown > tolerance:
                wrong.append(f"{name}: {counters[counter]:,.3f} {counter.replace('_', ' ')} are {grown:.1f} % above "
                             f"the recorded {recorded[name][counter]:,.3f}; see gate.py --top 15 {name}")
    return wrong


def table(now, recorded):
    lines = [f"{'one of':<14}{'instructions':>14}{'change':>10}{'allocations':>14}{'change':>10}"
             f"{'system calls':>14}{'change':>10}"]
    for name, counters in now.items():
        line = f"{name:<14}"
        for counter, digits in zip(COUNTERS, (0, 3, 3)):
            before = recorded.get(name, {}).get(counter)
            told = "" if before is None else f"{change(counters[counter], before):+.1f} %"
            line += f"{counters[counter]:>14,.{digits}f}{told:>10}"
        lines.append(line)
    return "\n".join(lines)


def top(name, units, profile, count, by):
    """The functions that cost most by themselves; `inclusive` is instructions, with those of what they call."""
    total = getattr(profile.total(), by)
    lines = [f"{name}: {total / units:,.1f} {by}", f"{'self':>9}{'share':>8}{'inclusive':>11}{'calls':>9}  function"]
    functions = sorted(profile.functions.items(), key=lambda item: -getattr(item[1].own, by))
    for function, cost in functions[:count]:
        own = getattr(cost.own, by)
        lines.append(f"{own / units:>9,.1f}{100.0 * own / max(total, 1):>6.1f} %{cost.inclusive / units:>11,.1f}"
                     f"{cost.calls / units:>9,.2f}  {callgrind.short(function)}")
    return "\n".join(lines)


def record(about, now):
    git = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                         check=False)
    recorded = {"about": about, "date": datetime.date.today().isoformat(),
                "after_commit": git.stdout.strip() or "unknown", "operations": now}
    with open(RECORDED, "w", encoding="utf-8") as file:
        json.dump(recorded, file, indent=1)
        file.write("\n")


def skip(why):
    print(f"gate.py: skipped: {why}")
    return SKIPPED


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations", nargs="*", help="only these; default: all")
    parser.add_argument("--program", default=os.path.join(HERE, "..", "..", "build", "bin", "gate_ops"),
                        help="gate_ops of the build that is judged (default: build/bin/gate_ops)")
    parser.add_argument("--tolerance", type=float, default=5.0, help="per cent (default: 5)")
    parser.add_argument("--record", action="store_true", help="write the recorded figures anew")
    parser.add_argument("--top", type=int, metavar="N", help="print the N most expensive functions of each operation")
    parser.add_argument("--misses", action="store_true", help="with --top: by cache misses, not by instructions")
    options = parser.parse_args()
    if not os.path.exists(options.program):
        parser.error(f"{options.program} is not there; build it (cmake --build build --target gate_ops) or name one "
                     "with --program")
    if options.top is not None and options.top < 1:
        parser.error("--top takes a number of functions, at least 1")
    if options.misses and not options.top:
        parser.error("--misses says by what --top sorts; add --top N")
    if options.record and options.operations:
        parser.error("--record records all operations; name none")
    if shutil.which("valgrind") is None:
        return skip("there is no valgrind; install the package of that name")
    try:
        return judge(options, parser)
    except (OSError, ValueError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"gate.py: {error}", file=sys.stderr)
        return 1


def judge(options, parser):
    about = json.loads(subprocess.run([options.program, "about"], capture_output=True, text=True, check=True).stdout)
    with open(RECORDED, encoding="utf-8") as file:
        recorded = json.load(file)
    other = [f"{what} was {recorded['about'].get(what)}, is {now}" for what, now in about.items()
             if recorded["about"].get(what) != now]
    if other and not options.record and not options.top:
        return skip("not comparable with the recorded figures: " + "; ".join(other) +
                    ". gate.py --record makes figures for here")
    with tempfile.TemporaryDirectory(prefix="tarn-gate-") as folder:
        operations = callgrind.run(options.program, folder, options.misses)
    known = [name for name, _, _ in operations]
    for name in options.operations:
        if name not in known:
            parser.error(f"there is no operation {name}; there are {', '.join(known)}")
    wanted = [each for each in operations if not options.operations or each[0] in options.operations]
    if options.top:
        by = "misses" if options.misses else "instructions"
        print("\n\n".join(top(*each, options.top, by) for each in wanted))
        return 0
    now = figures(wanted)
    print(table(now, recorded["operations"]))
    if options.record:
        record(about, now)
        return 0
    print(f"recorded {recorded['date']} on top of commit {recorded['after_commit']}")
    wrong = compare(now, recorded["operations"], options.tolerance)
    for line in wrong:
        print(f"gate.py: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
