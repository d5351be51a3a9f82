"""A writer for tests/kill and tests/power: changes files below DIRECTORY, and keeps an oracle outside of the lake.

    mount_writer.py DIRECTORY ORACLE SEED kill|power

A test that kills the mount may take a file for safe that was synced or only closed, and a name at once. Before a
power cut nothing is acknowledged that was not synced. Standard output gets one byte for each acknowledgement.

The oracle has one JSON line before each operation and the line `{"done": true}` after its acknowledgement, so what a
killed mount owes is what the lines say (`replay`). The writer ends when the mount, or the device below it, does.
Content is made from tags, so the oracle holds recipes: a list of ["data", tag, size] and ["cut", size].
"""
import errno
import json
import os
import random
import sys

SIZES = (0, 1, 100, 4096, 65535, 65536, 65537, 131072, 131073, 400000, 1 << 20, (5 << 20) + 3)
WEIGHTS = (1, 1, 6, 6, 2, 2, 2, 2, 2, 3, 2, 1)
# EIO: the kernel was copying the request when the mount's thread was killed. The tests see to it that no writer ends
# before that.
MOUNT_IS_GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
POWER_IS_GONE = MOUNT_IS_GONE + (errno.EROFS,)


def data(tag, size):
    return random.Random(tag).randbytes(size)


def made(recipe):
    content = b""
    for step in recipe:
        if step[0] == "data":
            content += data(step[1], step[2])
        else:
            content = content[:step[1]].ljust(step[1], b"\0")
    return content


class Writer:
    def __init__(self, top, oracle, seed, until):
        self.top, self.rng, self.number, self.seed = top, random.Random(seed), 0, seed
        self.ends_by = {"kill": MOUNT_IS_GONE, "power": POWER_IS_GONE}[until]
        self.power = until == "power"
        self.oracle = os.open(oracle, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.files = {}  # name -> recipe
        self.held = {}   # name -> descriptor: written, not yet closed

    def say(self, **line):
        text = json.dumps(line).encode() + b"\n"
        assert os.write(self.oracle, text) == len(text)

    def done(self):
        self.say(done=True)
        os.write(sys.stdout.fileno(), b".")

    def sync_names(self):
        directory = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)

    def path(self, name):
        return os.path.join(self.top, name)

    def new_name(self):
        self.number += 1
        return f"f{self.number}"

    def new_data(self):
        size = self.rng.choices(SIZES, WEIGHTS)[0]
        return ["data", f"{self.seed}/{self.number}/{self.rng.randrange(1 << 30)}", size]

    def put(self, fd, content):
        at = 0
        while at < len(content):
            at += os.write(fd, content[at:at + self.rng.choice((1000, 65536, 131072, 1 << 20, 5 << 20))])

    def settle(self, fd):
        """fsync, or only close: both must outlive the mount's process."""
        if self.power or self.rng.random() < 0.6:
            os.fsync(fd)
        os.close(fd)

    def create(self):
        name, step = self.new_name(), self.new_data()
        self.say(op="create", name=name, recipe=[step])
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.put(fd, made([step]))
        self.settle(fd)
        self.done()
        self.files[name] = [step]

    def hold(self):
        """Written, but neither synced nor closed: any prefix may be there."""
        name, step = self.new_name(), self.new_data()
        self.say(op="hold", name=name, recipe=[step])
        self.held[name] = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.put(self.held[name], made([step]))
        if self.power:
            self.sync_names()
        self.done()
        self.files[name] = [step]

    def release(self):
        if not self.held:
            return
        name = self.rng.choice(list(self.held))
        self.say(op="release", name=name)
        self.settle(self.held.pop(name))
        self.done()

    def settled(self):
        names = [name for name in self.files if name not in self.held]
        return self.rng.choice(names) if names else None

    def append(self):
        name, step = self.settled(), self.new_data()
        if name is None or len(self.files[name]) > 4:
            return
        self.say(op="append", name=name, recipe=self.files[name] + [step])
        fd = os.open(self.path(name), os.O_WRONLY | os.O_APPEND)
        self.put(fd, made([step]))
        self.settle(fd)
        self.done()
        self.files[name] = self.files[name] + [step]

    def truncate(self):
        name = self.settled()
        if name is None:
            return
        recipe = self.files[name] + [["cut", self.rng.choice(SIZES)]]
        self.say(op="truncate", name=name, recipe=recipe)
        fd = os.open(self.path(name), os.O_WRONLY)
        os.ftruncate(fd, recipe[-1][1])
        self.settle(fd)
        self.done()
        self.files[name] = recipe

    def rename(self):
        """As editors save: synced before, the directory after. Half of them replace another file."""
        name, to = self.settled(), self.settled()
        if name is None:
            return
        to = self.new_name() if to == name or self.rng.random() < 0.5 else to
        self.say(op="rename", name=name, to=to)
        os.rename(self.path(name), self.path(to))
        self.sync_names()
        self.done()
        self.files[to] = self.files.pop(name)

    def unlink(self):
        name = self.settled()
        if name is None:
            return
        self.say(op="unlink", name=name)
        os.unlink(self.path(name))
        if self.power:
            self.sync_names()
        self.done()
        del self.files[name]

    def run(self):
        operations = [self.create, self.hold, self.release, self.append, self.truncate, self.rename, self.unlink]
        while True:
            self.rng.choices(operations, (6, 2, 2, 3, 2, 3, 2))[0]()


class State:
    """What one name may hold: bytes that begin with `least` and are a prefix of `most`; or nothing, if `absent`."""

    def __init__(self, least, most, absent=False):
        self.least, self.most, self.absent = least, most, absent

    def allows(self, content):
        if content is None:
            return self.absent
        return len(content) >= len(self.least) and self.most.startswith(content)


GONE = State(b"", b"", absent=True)


def exactly(recipe):
    content = made(recipe)
    return State(content, content)


def replay(lines):
    """(name -> State, alternatives): each alternative is a dict that must hold as a whole; one of them has to."""
    settled, held, pending = {}, {}, None
    acknowledged = 0
    for line in map(json.loads, lines):
        if "done" not in line:
            pending = line
            continue
        acknowledged += 1
        _apply(pending, settled, held)
        pending = None
    states = {name: exactly(recipe) for name, recipe in settled.items()}
    states.update({name: State(b"", made(recipe)) for name, recipe in held.items()})
    alternatives = [{}] if pending is None else _either(pending, states, settled, held)
    for alternative in alternatives:
        for name in alternative:
            states.pop(name, None)
    return states, alternatives, acknowledged


def _apply(line, settled, held):
    name = line["name"]
    if line["op"] == "hold":
        held[name] = line["recipe"]
    elif line["op"] == "release":
        settled[name] = held.pop(name)
    elif line["op"] == "rename":
        settled[line["to"]] = settled.pop(name)
    elif line["op"] == "unlink":
        del settled[name]
    else:
        settled[name] = line["recipe"]


def _either(line, states, settled, held):
    """The operation that was not acknowledged: before it, after it, or a prefix of what it writes."""
    name, operation = line["name"], line["op"]
    if operation in ("create", "hold"):
        return [{name: State(b"", made(line["recipe"]), absent=True)}]
    if operation == "release":
        return [{name: State(b"", made(held[name]))}]
    if operation == "append":
        return [{name: State(made(settled[name]), made(line["recipe"]))}]
    if operation == "truncate":
        return [{name: states[name]}, {name: exactly(line["recipe"])}]
    if operation == "unlink":
        return [{name: states[name]}, {name: GONE}]
    to = line["to"]
    return [{name: states[name], to: states.get(to, GONE)}, {name: GONE, to: states[name]}]


def main():
    writer = Writer(*sys.argv[1:])
    try:
        writer.run()
    except OSError as error:
        if error.errno not in writer.ends_by:
            raise


if __name__ == "__main__":
    main()
