"""Mounts killed with SIGKILL at random points while three writers work, then mounted again.

What the lake owes after such a kill (fuse/mount.h, docs/formats/lake.md): a file that was synced or closed is
exactly what was written; a file still open holds a prefix of it; each rename, truncation and removal happened or did
not; what was acknowledged did. Then `cp -a` through the mount, killed and repeated until it runs through.

TARN_KILLS sets how many kills under writers there are (default 8). Each comes after a random number of operations was
acknowledged.
"""
import os
import subprocess
import sys

from mount_writer import replay
from support import Mount, Place, make_tree, need_fuse, private_mounts, same_content, seeded, walk

KILLS = int(os.environ.get("TARN_KILLS") or 8)
COPIES = 2 + KILLS // 20
KILLS_OF_LAKE = 25  # then a fresh one, before the files of all rounds become gigabytes
WRITERS = 3
WRITER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mount_writer.py")


class MountTest:
    def __init__(self, place, rng):
        self.place, self.rng = place, rng
        self.directories = []  # (path in the lake, its oracle)
        self.acknowledgements = None  # of all writers: one byte for each
        self.acknowledged = self.files = self.partial = 0

    def round(self, number):
        mount, writers = self.work(f"r{number}", "kill")
        mount.kill()
        for error in self.end(mount, writers):
            assert error == b"", error.decode()
        self.place.check()
        self.verify(self.directories[-2 * WRITERS:])

    def work(self, name, until):
        """A mount and its writers, when some of what they do has been acknowledged."""
        mount = Mount(self.place)
        self.acknowledgements, each = os.pipe()
        writers = []
        for writer in (f"{name}w{number}" for number in range(WRITERS)):
            os.mkdir(mount.path(writer))
            oracle = self.place.path(writer + ".oracle")
            self.directories.append((writer, oracle))
            writers.append(self.place.start(sys.executable, "-B", WRITER, mount.path(writer), oracle,
                                            str(self.rng.randrange(1 << 30)), until,
                                            stdout=each, stderr=subprocess.PIPE))
        os.close(each)
        wanted = self.rng.choice((self.rng.randrange(1, 10), self.rng.randrange(1, 200)))
        while wanted > 0:
            said = os.read(self.acknowledgements, wanted)
            assert said, f"the writers ended: {writers[0].stderr.read()!r}"
            wanted -= len(said)
        for writer in writers:
            assert writer.poll() is None, f"a writer ended by itself: {writer.stderr.read()!r}"
        return mount, writers

    def end(self, mount, writers):
        """Waits until the writers have ended and takes the mount away; what each writer had to say."""
        errors = [writer.communicate(timeout=120)[1] for writer in writers]
        os.close(self.acknowledgements)
        mount.detach()
        return errors

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
        make_tree(self.rng, source, 600)
        names = sum(1 for _ in walk(source))
        cut = 0
        for number in range(COPIES):
            mount = Mount(self.place)
            os.makedirs(mount.path("copy"), exist_ok=True)
            # -v tells each name when it begins; cp writes some dozens of them at once.
            copy = self.place.start("cp", "-av", source + "/.", mount.path("copy"), stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL)
            for _ in range(int((number + self.rng.random()) / COPIES * names * 0.8)):
                copy.stdout.readline()
            mount.kill()
            copy.stdout.close()
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
    acknowledged = files = partial = 0
    for begin in range(0, KILLS, KILLS_OF_LAKE):
        with Place() as place:
            place.ok("init", "-q")
            test = MountTest(place, rng)
            for number in range(begin, min(begin + KILLS_OF_LAKE, KILLS)):
                test.round(number)
            test.acknowledged = test.files = test.partial = 0
            test.verify(test.directories)
            place.check("--deep")
            acknowledged += test.acknowledged
            files += test.files
            partial += test.partial
    assert acknowledged >= 5 * KILLS, f"only {acknowledged} operations: this proved nothing"
    print(f"{KILLS} kills under {WRITERS} writers: {acknowledged} acknowledged operations, {files} files are as "
          f"they must be, {partial} of them open files with a prefix", flush=True)
    with Place() as place:
        place.ok("init", "-q")
        MountTest(place, rng).copy_rounds()
        report = place.check("--deep")
        print(f"in the end: {report['inodes']} inodes, {report['blocks']} blocks, no problems")


if __name__ == "__main__":
    main()
