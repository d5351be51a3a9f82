"""A lake on a filesystem whose power is cut while three writers work through a mount; then mounted again.

ext4 in an image, mounted through a loop device; FS_IOC_SHUTDOWN stops it without a flush of its journal, after a
random number of operations was acknowledged. All of these were synced (fsync of the file, or of the directory after a
change of names), so after umount and mount they are there byte for byte; each rename, truncation and removal happened
or did not; a file that was not synced holds a prefix of what was written (tests/kill/mount_writer.py is writer and
oracle).

TARN_LAKE_CUTS sets how many cuts there are (default 6). The rest of the environment: tests/kill/support.py.
"""
import fcntl
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kill"))
from kill_mount_test import WRITERS, MountTest  # noqa: E402
from support import MIB, Place, is_mount, need_fuse, private_mounts, seeded, skip  # noqa: E402

CUTS = int(os.environ.get("TARN_LAKE_CUTS") or 6)
CUTS_OF_IMAGE = 25  # then a fresh one, before the files of all rounds fill it
IMAGE = 1024 * MIB
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


class PowerTest(MountTest):
    def __init__(self, place, rng, name):
        super().__init__(place, rng)
        self.image, self.disk = place.path(name + ".img"), place.path(name)
        os.mkdir(self.disk)
        with open(self.image, "wb") as file:
            file.truncate(IMAGE)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        place.callback(self.detach_disk)
        if not self.attach_disk():
            skip("no loop device can be mounted here")
        place.lake = os.path.join(self.disk, "lake")
        place.ok("init", "-q")

    def attach_disk(self):
        options = "loop,noauto_da_alloc,commit=300"
        return subprocess.run(["mount", "-o", options, self.image, self.disk], check=False).returncode == 0

    def detach_disk(self):
        if is_mount(self.disk):
            subprocess.run(["umount", self.disk], check=True)

    def cut_power(self):
        top = os.open(self.disk, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(top, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(top)

    def round(self, number):
        mount, writers = self.work(f"r{number}", "power")
        # A sync that is on its way when ext4 is shut down may succeed though its journal was not written (ledger.h);
        # so the writers go first, and acknowledge nothing from here on.
        for writer in writers:
            writer.kill()
        self.cut_power()
        mount.kill()
        self.end(mount, writers)
        self.detach_disk()
        assert self.attach_disk()
        self.place.check()
        self.verify(self.directories[-2 * WRITERS:])


def main():
    if os.geteuid() != 0:
        skip("loop devices take root")
    for program in ("mkfs.ext4", "mount"):
        if shutil.which(program) is None:
            skip(f"{program} is missing")
    need_fuse()
    private_mounts()
    rng = seeded()
    acknowledged = partial = 0
    for begin in range(0, CUTS, CUTS_OF_IMAGE):
        with Place() as place:
            test = PowerTest(place, rng, "disk")
            for number in range(begin, min(begin + CUTS_OF_IMAGE, CUTS)):
                test.round(number)
            test.acknowledged = test.partial = 0
            test.verify(test.directories)
            place.check("--deep")
            acknowledged, partial = acknowledged + test.acknowledged, partial + test.partial
    assert acknowledged >= 5 * CUTS, f"only {acknowledged} operations: this proved nothing"
    print(f"{CUTS} power cuts under {WRITERS} writers: {acknowledged} acknowledged operations as they must be, "
          f"{partial} open files with a prefix")


if __name__ == "__main__":
    main()
