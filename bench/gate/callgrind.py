"""Runs gate_ops below callgrind and reads what it wrote: one profile for each operation.

A profile file is a list of `fn=` blocks. A line of numbers is a source line and what was spent there by the function
itself; the line after a `calls=` is what was spent in the function called. Names are written once and then by their
number. The line `events:` names the counters: Ir (instructions), sysCount (system calls), with the simulation of
caches also D1mr and D1mw (reads and writes that the first level lacks), and some that are not used.
"""
import collections
import os
import re
import subprocess

REGION = "GateCountedRegion"  # gate_ops.cc: entered and left once for each operation
ALLOCATORS = {"malloc", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign"}

# A first level as most processors of these years have it, so that all machines count the same misses.
CACHE = ["--cache-sim=yes", "--D1=32768,8,64"]
EVENTS = {"Ir": 0, "sysCount": 1, "D1mr": 2, "D1mw": 2}  # counter -> its place in Spent

Spent = collections.namedtuple("Spent", "instructions system_calls misses")


class Function:
    def __init__(self):
        self.own = Spent(0, 0, 0)
        self.inclusive = 0  # instructions, with those of what it called
        self.calls = 0


class Profile:
    """What one operation spent, by function."""

    def __init__(self, text):
        self.functions = collections.defaultdict(Function)
        self.allocations = 0
        self._names = {"ob": {}, "fn": {}}
        self._read(text)
        total = self.total()
        stated = re.search(r"^summary: (\d+)", text, re.MULTILINE)
        if stated is None or int(stated.group(1)) != total.instructions:
            raise ValueError(f"the functions of the profile sum up to {total.instructions} instructions, but it says "
                             f"{stated.group(0) if stated else 'nothing'}")
        for function in self.functions.values():
            function.inclusive = min(function.inclusive, total.instructions)  # recursion counts twice

    def total(self):
        return Spent(*map(sum, zip(*(function.own for function in self.functions.values()))))

    def _read(self, text):
        objects = {"ob": "", "cob": ""}
        current, callee, calls = None, "", None  # calls: what the next line of numbers belongs to
        places = [EVENTS.get(event) for event in re.search(r"^events: (.*)", text, re.MULTILINE).group(1).split()]
        for line in text.split("\n"):
            key, separator, value = line.partition("=")
            if separator and key in objects:
                objects[key] = os.path.basename(self._name("ob", value))
                if key == "ob":
                    objects["cob"] = objects["ob"]
            elif separator and key == "fn":
                current = self.functions[self._function(value, objects["ob"])]
                objects["cob"] = objects["ob"]
            elif separator and key == "cfn":
                callee = self._function(value, objects["cob"])
                objects["cob"] = objects["ob"]
            elif separator and key == "calls":
                calls = int(value.split()[0])
            elif current is not None and line[:1].isdigit():
                spent = [0, 0, 0]
                for place, word in zip(places, line.split()[1:]):
                    if place is not None:
                        spent[place] += int(word)
                current.inclusive += spent[0]
                if calls is None:
                    current.own = Spent(*(a + b for a, b in zip(current.own, spent)))
                else:
                    self.functions[callee].calls += calls
                    self.allocations += calls if callee in ALLOCATORS else 0
                    calls = None

    def _name(self, kind, value):
        found = re.fullmatch(r"\((\d+)\)(?: (.*))?", value)
        number, name = found.group(1), found.group(2)
        if name is not None:
            self._names[kind][number] = name
        return self._names[kind][number]

    def _function(self, value, shared_object):
        name = self._name("fn", value)
        # A library without symbols: its functions together, under its name.
        return f"[{shared_object}]" if name.startswith("0x") else name


def short(name):
    """A C++ name without arguments and namespaces that say nothing."""
    while (shorter := re.sub(r"<[^<>]*>", "", name)) != name:
        name = shorter
    name = name.replace("(anonymous namespace)::", "").replace("tarn::", "")
    return re.sub(r"\([^()]*\)(?: const)?", "", name) or name


def run(program, folder, cache=False):
    """[(operation, units, Profile)] of a whole run, in the order in which gate_ops ran them.

    A dump also clears the counters. So one is made at both ends of each region, and every second one is an
    operation's. (Clearing without a dump, --zero-before, forgets some functions.)
    """
    store, out = os.path.join(folder, "store"), os.path.join(folder, "profile")
    _call([program, "load", store])
    printed = _call(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={REGION}",
                     f"--dump-after={REGION}", "--collect-systime=yes", "--compress-pos=no",
                     f"--log-file={out}.log", *(CACHE if cache else []), program, "measure", store])
    operations = []
    for at, line in enumerate(printed.splitlines(), 1):
        name, units = line.split()
        with open(f"{out}.{2 * at}", encoding="utf-8") as file:
            operations.append((name, int(units), Profile(file.read())))
    return operations


def _call(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
