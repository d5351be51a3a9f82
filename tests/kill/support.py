"""What the kill tests share: the program, a place that goes away on every way out, trees, and their comparison.

Each test is a program: status 0 passed, 77 skipped (it says what the machine lacks), anything else failed.

    TARN           the program under test
    TARN_TEST_DIR  where the places are made (default: the system's temporary directory)
    TARN_SEED      repeats a run's choices; each run prints its seed. When a signal hits is up to the machine.
    TARN_KEEP      not empty: the place stays, and its name is printed
"""
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

TARN = os.environ["TARN"]
SKIPPED = 77
MIB = 1 << 20


def skip(why):
    print("skipped:", why)
    sys.exit(SKIPPED)


def seeded():
    seed = int(os.environ.get("TARN_SEED") or secrets.randbits(32))
    print(f"TARN_SEED={seed}", flush=True)
    return random.Random(seed)


def need_fuse():
    if not os.path.exists("/dev/fuse"):
        skip("there is no /dev/fuse here")


def private_mounts():
    """Root only: starts this program again in a mount namespace of its own, so that its mounts end with it, even when
    it is killed."""
    if os.geteuid() != 0 or os.environ.get("TARN_PRIVATE_MOUNTS") or shutil.which("unshare") is None:
        return
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        command = [*unshare, sys.executable, "-B", *sys.argv]
        os.execvpe(command[0], command, {**os.environ, "TARN_PRIVATE_MOUNTS": "1"})


class Killed(Exception):
    """A signal asked this test to end."""


class Place(contextlib.ExitStack):
    """A directory with a lake to be in it. What is made is taken down in reverse order when the block is left."""

    def __init__(self):
        super().__init__()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        base = os.environ.get("TARN_TEST_DIR") or tempfile.gettempdir()
        os.makedirs(base, exist_ok=True)
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="tarn-kill-", dir=base))
        if os.environ.get("TARN_KEEP"):
            print("keeps", self.dir)
        else:
            self.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.lake = self.path("lake")

    @staticmethod
    def _end(number, _):
        raise Killed(signal.Signals(number).name)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def environment(self):
        return {**os.environ, "TARN_LAKE": self.lake}

    def run(self, *args):
        return subprocess.run([TARN, *args], capture_output=True, check=False, env=self.environment(), cwd=self.dir,
                              timeout=900)

    def ok(self, *args):
        """Runs it; it must succeed and say nothing on the error stream."""
        done = self.run(*args)
        assert (done.returncode, done.stderr) == (0, b""), f"tarn {args}: {done.returncode} {done.stderr!r}"
        return done.stdout.decode(errors="surrogateescape")

    def json(self, *args):
        return json.loads(self.ok(*args, "--json"))

    def timed(self, *args):
        begun = time.monotonic()
        self.ok(*args)
        return time.monotonic() - begun

    def names(self, directory):
        return self.ok("ls", directory).splitlines()

    def start(self, *command, **more):
        """A process that ends with the place."""
        process = subprocess.Popen(command, env=self.environment(), cwd=self.dir, **more)
        self.callback(end, process)
        return process

    def run_killed(self, seconds, *args):
        """Runs it, kills it after `seconds`; its return code (-9: it was killed)."""
        process = subprocess.Popen([TARN, *args], env=self.environment(), cwd=self.dir, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        try:
            return kill_after(process, seconds)
        finally:
            end(process)

    def check(self, *options):
        """The lake must be whole; the report."""
        done = self.run("check", "--json", *options)
        assert done.returncode == 0, f"check: {done.returncode} {done.stderr!r} {done.stdout[:2000]!r}"
        report = json.loads(done.stdout)
        assert report["ok"] and not report["problems"], report
        return report


def kill_after(process, seconds):
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait()


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class Mount:
    """The lake of a place at `mnt`, served by a process that is ours to kill."""

    def __init__(self, place):
        self.place, self.at = place, place.path("mnt")
        os.makedirs(self.at, exist_ok=True)
        place.callback(self._detach)  # runs after the process has ended
        self.process = place.start(TARN, "mount", "-f", self.at, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line.startswith(b"mounted "), (line, self.process.stderr.read())

    def path(self, *parts):
        return os.path.join(self.at, *parts)

    def kill(self, seconds=0.0):
        code = kill_after(self.process, seconds)
        assert code == -signal.SIGKILL, f"the mount ended by itself: {code} {self.process.stderr.read()!r}"

    def detach(self):
        self._detach()
        assert not is_mount(self.at), self.at
        end(self.process)

    def _detach(self):
        while is_mount(self.at):
            command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-uz"]
            if subprocess.run([*command, self.at], check=False).returncode != 0:
                break

    def unmount(self):
        """The orderly end; the session's exit code and error stream."""
        self.place.ok("umount", "-q", self.at)
        answer = self.process.wait(timeout=120), self.process.stderr.read()
        end(self.process)
        return answer


def is_mount(path):
    """os.path.ismount asks the mount itself, which may be dead."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split()[4] == path for line in mounts)


# ------------------------------------------------------------------------------------------------------- trees

EDGES = (0, 1, 65535, 65536, 65537, 131071, 131072, 131073, 262144)
NAMES = ("plain", "two words", "-dash", "ümlaut", "new\nline", "back\\slash", "x" * 240, "\udcff\udcfe")


def make_tree(rng, top, count):
    """`count` names: nested directories, files of all forms that a lake stores, links, attributes, odd names."""
    directories, files = [top], []
    os.makedirs(top)
    for number in range(count):
        name = f"{rng.choice(NAMES)}{number}"
        path = os.path.join(rng.choice(directories), name)
        kind = rng.random()
        if kind < 0.06 and path.count("/") < top.count("/") + 8:
            os.mkdir(path)
            directories.append(path)
        elif kind < 0.12:
            os.symlink(rng.choice(("missing", "../" + name, "y" * rng.randrange(1, 1000))), path)
        elif kind < 0.15 and files:
            os.link(rng.choice(files), path)
        else:
            _make_file(rng, path, rng.choice(files) if files and kind < 0.2 else None)
            files.append(path)
    with open(os.path.join(top, "big"), "wb") as file:
        file.write(rng.randbytes(24 * MIB + 17))
    for path in files + directories[::-1]:
        os.chmod(path, rng.choice((0o755, 0o700, 0o640) if os.path.isdir(path) else (0o644, 0o600, 0o4755)))
        os.utime(path, ns=(10**18 + rng.randrange(10**17), 10**18 + rng.randrange(10**17)))


def _make_file(rng, path, twin):
    if twin is not None:
        shutil.copyfile(twin, path)  # content that the lake has already
    else:
        with open(path, "wb") as file:
            what = rng.random()
            if what < 0.05:  # sparse
                file.truncate(rng.randrange(1, 4 * MIB))
                file.seek(rng.randrange(4 * MIB))
            limit = rng.choice(EDGES) if what < 0.15 else rng.randrange(3 * MIB if what > 0.99 else 20000)
            file.write(rng.randbytes(limit) if what < 0.6 else b"tarn " * (limit // 5))
    if rng.random() < 0.1:
        os.setxattr(path, "user.tarn", rng.randbytes(rng.randrange(1, 300)))


def walk(top):
    """Every path of a tree as bytes, top first, names in order."""
    top = os.fsencode(top)
    yield top
    for directory, directories, files in os.walk(top):
        directories.sort()
        for name in sorted(directories + files):
            yield os.path.join(directory, name)


def inodes_of(top):
    return len({(s.st_dev, s.st_ino) for s in map(os.lstat, walk(top))})


def _facts(top):
    first_names = {}
    for path in walk(top):
        at = os.lstat(path)
        name = path[len(os.fsencode(top)):]
        link = stat.S_ISLNK(at.st_mode)
        size = None if stat.S_ISDIR(at.st_mode) else at.st_size
        owner = (at.st_uid, at.st_gid) if os.geteuid() == 0 else None
        xattrs = () if link else tuple((x, os.getxattr(path, x)) for x in sorted(os.listxattr(path))
                                       if x.startswith("user."))
        target = os.readlink(path) if link else None
        # The first name of a file stands for it, so hard links are compared too.
        yield (name, at.st_mode, owner, at.st_mtime_ns, size, target, xattrs, first_names.setdefault(at.st_ino, name))


def same_content(left, right):
    diff = subprocess.run(["diff", "-r", "--no-dereference", left, right], capture_output=True, check=False)
    assert diff.returncode == 0, f"diff -r {left} {right}: {(diff.stdout + diff.stderr)[:2000]!r}"


def same_tree(left, right):
    """`diff -r` is clean, and everything else that an import keeps is the same."""
    same_content(left, right)
    for a, b in zip(_facts(left), _facts(right), strict=True):
        assert a == b, (a, b)
