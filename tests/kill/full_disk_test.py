"""A lake on a device that is too small: the error is told where it happens, and nothing that was done is lost.

Small ext4 file systems in files, mounted through loop devices; so this takes root. Room is made in two ways: by
removing a file beside the lake, and by making the device larger. What a full lake promises: docs/cli.md.
"""
import errno
import os
import shutil
import subprocess

from support import MIB, Mount, Place, is_mount, need_fuse, private_mounts, same_tree, seeded, skip

NO_SPACE = 6


class Disk:
    """A small file system at `at`, in a file."""

    def __init__(self, place, name, size):
        self.image, self.at = place.path(name + ".img"), place.path(name)
        os.mkdir(self.at)
        self._extend(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)
        place.callback(self._unmount)
        if not self._mount():
            skip("no loop device can be mounted here")

    def _extend(self, size):
        with open(self.image, "ab") as file:
            file.truncate(size)

    def _mount(self):
        return subprocess.run(["mount", "-o", "loop", self.image, self.at], check=False).returncode == 0

    def _unmount(self):
        if is_mount(self.at):
            subprocess.run(["umount", self.at], check=True)

    def grow(self, size):
        self._unmount()
        self._extend(size)
        subprocess.run(["e2fsck", "-f", "-p", self.image], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["resize2fs", self.image], check=True, capture_output=True)
        assert self._mount()

    def free(self):
        return shutil.disk_usage(self.at).free


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def refused(place, *args):
    """One line that names the reason, and the documented exit code."""
    done = place.run(*args)
    line = done.stderr.decode()
    assert done.returncode == NO_SPACE, f"tarn {args}: {done.returncode} {line}"
    assert line.count("\n") == 1 and line.startswith("tarn ") and "no space" in line.lower(), line
    return line


def by_command(place, rng, disk, make_room):
    """An import that does not fit; then reading; then, with room, everything."""
    place.lake = os.path.join(disk.at, "lake")
    before, big = place.path("before"), place.path("big")
    os.makedirs(before)
    for name in range(20):
        write(os.path.join(before, str(name)), rng.randbytes(rng.randrange(600000)))
    write(big, rng.randbytes(100 * MIB))
    place.ok("init", "-q")
    place.ok("import", "-q", before, "/before")
    line = refused(place, "import", "-q", big, "/big")
    print(f"  import: {line.strip()[:110]}...\n  then {disk.free() // 1024} KiB are free", flush=True)
    # A full lake can be read and checked.
    place.check("--deep")
    assert place.names("/") == ["before"]
    assert [r["id"] for r in place.json("log")] == [2, 1]
    place.ok("export", "-q", "/before", place.path("out"))
    same_tree(before, place.path("out"))
    shutil.rmtree(place.path("out"))
    make_room()
    place.ok("rm", "/before/0")
    os.remove(os.path.join(before, "0"))
    small = write(place.path("small"), rng.randbytes(8 * MIB))
    place.ok("import", "-q", small, "/small")
    report = place.check("--deep")
    assert report["inodes"] == 1 + 1 + 19 + 1, report  # nothing of the abandoned import is left
    for name, source in (("small", small), ("before/1", os.path.join(before, "1"))):
        place.ok("export", "-q", "/" + name, place.path("out"))
        with open(source, "rb") as left, open(place.path("out"), "rb") as right:
            assert left.read() == right.read(), name
        os.remove(place.path("out"))


class MountedWriter:
    """Writes files through a mount until it is told that there is no space; knows which ones were acknowledged."""

    def __init__(self, rng, top, synced):
        self.rng, self.top, self.synced = rng, top, synced
        self.acknowledged, self.failed, self.where = {}, None, None

    def run(self):
        for number in range(1000):
            content = self.rng.randbytes(self.rng.choice((1000, 60000, 200000, MIB, 3 * MIB)))
            name = f"{'synced' if self.synced else 'closed'}{number}"
            error = self._write(os.path.join(self.top, name), content)
            if error is not None:
                assert error.errno == errno.ENOSPC, error
                self.failed = (name, content)
                return
            self.acknowledged[name] = content
        raise AssertionError("the device never filled up")

    def _write(self, path, content):
        try:
            self.where = "open"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            return error
        first = None
        try:
            self.where = "write"
            at = 0
            while at < len(content):
                at += os.write(fd, content[at:])
            if self.synced:
                self.where = "fsync"
                os.fsync(fd)
        except OSError as error:
            first = error
        try:
            self.where = "close" if first is None else self.where
            os.close(fd)
        except OSError as error:
            first = first or error
        return first

    def verify(self, top):
        for name, content in self.acknowledged.items():
            with open(os.path.join(top, name), "rb") as file:
                assert file.read() == content, f"{name} was acknowledged, and is not what was written"
        name, content = self.failed
        if os.path.exists(os.path.join(top, name)):
            with open(os.path.join(top, name), "rb") as file:
                assert content.startswith(file.read()), f"{name} is no prefix of what was written"


def by_mount(place, rng, synced):
    name = "synced" if synced else "closed"
    disk = Disk(place, name + "-disk", 64 * MIB)
    place.lake = os.path.join(disk.at, "lake")
    place.ok("init", "-q")
    mount = Mount(place)
    writer = MountedWriter(rng, mount.at, synced)
    writer.run()
    mib = sum(map(len, writer.acknowledged.values())) // MIB
    print(f"mounted, {name}: ENOSPC at {writer.where} after {len(writer.acknowledged)} files, {mib} MiB", flush=True)
    assert mib >= 16, "it was full too early"
    writer.verify(mount.at)  # while it is full
    code, error = mount.unmount()
    print(f"  the session ended with {code}: {error.decode().strip()[:150]}")
    assert code in (0, NO_SPACE) and error.count(b"\n") <= 1, (code, error)
    place.check("--deep")
    disk.grow(256 * MIB)
    mount = Mount(place)
    writer.verify(mount.at)
    content = rng.randbytes(4 * MIB)
    write(mount.path("after"), content)
    assert mount.unmount() == (0, b"")
    done = place.run("cat", "/after")
    assert (done.returncode, done.stdout == content) == (0, True), done.stderr
    place.check("--deep")


def main():
    if os.geteuid() != 0:
        skip("loop devices take root")
    for program in ("mkfs.ext4", "resize2fs", "e2fsck", "mount"):
        if shutil.which(program) is None:
            skip(f"{program} is missing")
    private_mounts()
    rng = seeded()
    with Place() as place:
        disk = Disk(place, "grown", 64 * MIB)
        print("a device of 64 MiB, later 256 MiB")
        by_command(place, rng, disk, lambda: disk.grow(256 * MIB))
    with Place() as place:
        disk = Disk(place, "freed", 160 * MIB)
        ballast = write(os.path.join(disk.at, "ballast"), rng.randbytes(90 * MIB))
        print("a device of 160 MiB, 90 MiB of them taken at first")
        by_command(place, rng, disk, lambda: os.remove(ballast))
    need_fuse()
    with Place() as place:
        for synced in (True, False):
            by_mount(place, rng, synced)


if __name__ == "__main__":
    main()
