"""Mounts killed with SIGKILL at random points while three writers work, then mounted again.

What the lake owes after such a kill (fuse/mount.h, docs/formats/lake.md): a file that was synced or closed is
exactly what was written; a file still open holds a prefix of it; each rename, truncation and removal happened or did
not; what was acknowledged did. Then `cp -a` through the mount, killed and repeated until it runs through.
"""
import os
import subprocess
import sys
import time

from mount_writer import replay
from support import Mount, Place, make_tree, need_fuse, private_mounts, same_content, seeded

KILLS = 20
COPIES = 6
WRITERS = 3


class MountTest:
    def __init__(self, place, rng):
        self.place, self.rng = place, rng
        self.directories = []  # (path in the lake, its oracle)
        self.acknowledged = self.files = self.partial = 0

    def round(self, number):
        mount = Mount(self.place)
        writers = []
        for writer in range(WRITERS):
            name = f"r{number}w{writer}"
            os.mkdir(mount.path(name))
            oracle = self.place.path(name + ".oracle")
            script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mount_writer.py")
            self.directories.append((name, oracle))
            writers.append(self.place.start(sys.executable, "-B", script, mount.path(name), oracle,
                                            str(self.rng.randrange(1 << 30)), stderr=subprocess.PIPE))
        mount.kill((number + self.rng.random()) / KILLS * 1.5 + 0.1)
        for writer in writers:
            _, error = writer.communicate(timeout=120)
            assert writer.returncode == 0, error.decode()
        mount.detach()
        self.place.check()
        self.verify(self.directories[-2 * WRITERS:])

    def verify(self, directories):
        mount = Mount(self.place)
        for name, oracle in directories:
            self.verify_directory(mount.path(name), oracle)
        code, error = mount.unmount()
        assert (code, error) == (0, b""), (code, error)
        self.place.check()

    def verify_directory(self, top, oracle):
        if not os.path.exists(oracle):  # killed before the writer began
            assert os.listdir(top) == []
            return
        with open(oracle, encoding="ascii") as lines:
            states, alternatives, acknowledged = replay(lines)
        self.acknowledged += acknowledged
        found = {}
        for name in os.listdir(top):
            with open(os.path.join(top, name), "rb") as file:
                found[name] = file.read()
        possible = set(states).union(*alternatives)
        assert set(found) <= possible, f"{top}: {sorted(set(found) - possible)} should not be there"
        for name, state in states.items():
            assert state.allows(found.get(name)), wrong(top, name, found.get(name), state)
            self.partial += len(found[name]) < len(state.most)
        assert any(all(state.allows(found.get(name)) for name, state in alternative.items())
                   for alternative in alternatives), \
            [wrong(top, name, found.get(name), s) for alternative in alternatives for name, s in alternative.items()]
        self.files += len(found)

    def copy_rounds(self):
        """cp -a, killed and repeated over what it left, ends in an equal tree."""
        source = self.place.path("tree")
        make_tree(self.rng, source, 1500)
        mount = Mount(self.place)
        os.mkdir(mount.path("trial"))
        begun = time.monotonic()
        subprocess.run(["cp", "-a", source + "/.", mount.path("trial")], check=True)
        seconds = time.monotonic() - begun
        mount.kill()
        mount.detach()
        cut = 0
        for number in range(COPIES):
            mount = Mount(self.place)
            os.makedirs(mount.path("copy"), exist_ok=True)
            copy = self.place.start("cp", "-a", source + "/.", mount.path("copy"), stderr=subprocess.DEVNULL)
            mount.kill((number + self.rng.random()) / COPIES * seconds)
            cut += copy.wait(timeout=120) != 0
            mount.detach()
            self.place.check()
        assert cut > 0, "no copy was killed in time: this proved nothing"
        mount = Mount(self.place)
        subprocess.run(["cp", "-a", source + "/.", mount.path("copy")], check=True)
        same_content(source, mount.path("copy"))
        mount.kill()
        mount.detach()
        out = self.place.path("out")
        self.place.ok("export", "-q", "/copy", out)
        same_content(source, out)
        print(f"{COPIES} copies, {cut} of them cut short; then one that ran through, equal also after a kill")


def wrong(top, name, content, state):
    seen = "missing" if content is None else f"{len(content)} bytes"
    return f"{top}/{name}: {seen}; may have {len(state.least)}..{len(state.most)} bytes, absent: {state.absent}"


def main():
    need_fuse()
    private_mounts()
    rng = seeded()
    with Place() as place:
        place.ok("init", "-q")
        test = MountTest(place, rng)
        for number in range(KILLS):
            test.round(number)
        test.acknowledged = test.files = test.partial = 0
        test.verify(test.directories)
        assert test.acknowledged >= 10 * KILLS, f"only {test.acknowledged} operations: this proved nothing"
        print(f"{KILLS} kills under {WRITERS} writers: {test.acknowledged} acknowledged operations, {test.files} "
              f"files as they must be, {test.partial} of them open files with a prefix", flush=True)
        test.copy_rounds()
        report = place.check("--deep")
        print(f"in the end: {report['inodes']} inodes, {report['blocks']} blocks, no problems")


if __name__ == "__main__":
    main()
