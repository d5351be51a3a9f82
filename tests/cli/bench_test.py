"""bench mount: every step runs and proves itself, and nothing is left behind, however it ends."""
import os
import shutil
import signal
import unittest

from mount_test import fuse_works
from support import TARN, LakeCase

STEPS = ["create", "stat", "readdir", "rename", "unlink", "mkdir", "rmdir", "sync-write", "untar", "clone", "rm-rf",
         "write", "read", "rand-read", "rand-write"]
PROGRAMS = {"untar": "tar", "clone": "git", "rm-rf": "tar", "rand-read": "fio", "rand-write": "fio"}
TINY = ("--files", "40", "--file-size", "256K")


class BenchCase(LakeCase):
    """The lake of $TARN_LAKE is a lake of the user's: it must not be touched."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("ground"))
        self.before = self.listing()

    def listing(self):
        return sorted(os.path.join(top, name) for top, _, files in os.walk(self.dir) for name in files)

    def nothing_left(self):
        self.assertEqual(os.listdir(self.path("ground")), [])
        self.assertEqual(self.listing(), self.before)
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            self.assertNotIn(self.dir, mounts.read())

    def bench(self, *args, **more):
        return self.ok("bench", "mount", "--dir", "ground", *args, **more)


class Refused(BenchCase):
    def test_bad_flags(self):
        def refused(*args, says):
            return self.fails(1, "bench", "mount", "--dir", "ground", *args, says=says)

        self.assertIn(" ".join(STEPS), refused("--steps", "create,unlnk", says=["--steps unlnk", "no such step"]))
        refused("--steps", ",", says="no such step")
        for size in ("x", "12q", "4K", "65537", "99999999999999T", "-1"):
            refused("--file-size=" + size, says=["--file-size", "256M"])
        refused("--threads", "0", says=["--threads 0", "1 to 256"])
        refused("--files", "3", "--threads", "4", says="--files 3")
        refused("--rounds", "0", says="--rounds 0")
        self.fails(3, "bench", "mount", "--source", "missing", says=["missing", "--source"])
        self.fails(2, "bench", "mount", "operand", says="one operand too many")
        self.fails(2, "bench", "mount", "--step", "create", says="did you mean '--steps'")
        self.fails(2, "bench", "mout", says="did you mean 'mount'")
        self.nothing_left()

    def test_help_names_every_step(self):
        text = self.ok("bench", "mount", "--help").text
        for step in STEPS:
            self.assertIn(f"\n  {step} ", text)

    @unittest.skipIf(fuse_works(), "FUSE works here")
    def test_without_fuse(self):
        self.fails(1, "bench", "mount", "--dir", "ground", *TINY, says="/dev/fuse")
        self.nothing_left()


@unittest.skipUnless(fuse_works(), "no FUSE on this machine")
class Measured(BenchCase):
    def spread(self, figures):
        self.assertEqual(list(figures), ["min", "median", "max"])
        self.assertGreater(figures["min"], 0)
        self.assertLessEqual(figures["min"], figures["median"])
        self.assertLessEqual(figures["median"], figures["max"])

    def test_every_step(self):
        rows = self.bench(*TINY, "--rounds", "1", "--threads", "2", "--json").json
        self.assertEqual([row["step"] for row in rows], STEPS)
        for row in rows:
            program = PROGRAMS.get(row["step"])
            if program is not None and shutil.which(program) is None:
                self.assertEqual((list(row), row["skipped"]), (["step", "unit", "skipped"], f"install {program}"))
                continue
            self.assertEqual(list(row), ["step", "unit", "native", "mount", "ratio"])
            self.spread(row["native"])
            self.spread(row["mount"])
            ratio = row["mount"]["median"] / row["native"]["median"]
            self.assertAlmostEqual(row["ratio"], ratio, delta=0.001 + ratio / 1000)
        self.nothing_left()

    def test_the_table_and_what_is_missing(self):
        # A PATH with nothing in it but what mounting takes: the programs of the steps are not there.
        os.mkdir(self.path("bin"))
        helper = shutil.which("fusermount3")
        if helper is not None:
            os.symlink(helper, self.path("bin/fusermount3"))
        self.before = self.listing()
        lines = self.bench(*TINY, "--steps", "rand-read,stat,clone", "--rounds", "2",
                           env=self.environment(PATH=self.path("bin"))).text.splitlines()
        self.assertEqual(lines[0].split()[:2], ["step", "unit"])
        self.assertRegex(lines[1], r"^stat +ops/s( +[0-9.,]+){6} +[0-9]+\.[0-9]{2}$")
        self.assertEqual([line.split(maxsplit=1) for line in lines[2:4]],
                         [["clone", "skipped: install git"], ["rand-read", "skipped: install fio"]])
        self.assertIn("2 rounds, 40 files", lines[5])
        self.fails(1, "bench", "mount", "--steps", "clone", says="install git",
                   env=self.environment(PATH=self.path("bin")))
        self.nothing_left()

    def test_own_tree_and_own_place_for_the_lake(self):
        self.write("tree/a/b", b"bytes")
        os.symlink("b", self.path("tree/a/link"))
        os.mkdir(self.path("empty"))
        self.before = self.listing()
        steps = "untar,rm-rf" if shutil.which("tar") else "create"
        rows = self.bench(*TINY, "--rounds", "1", "--steps", steps, "--source", "tree", "--lake", "empty",
                          "--json").json
        self.assertEqual([row["step"] for row in rows], steps.split(","))
        self.assertEqual(os.listdir(self.path("empty")), [])  # it was there before
        self.bench(*TINY, "--rounds", "1", "--steps", "create", "--lake", "new")
        self.assertFalse(os.path.exists(self.path("new")))
        # A lake of the user's is refused, and stays.
        self.fails(1, "bench", "mount", "--dir", "ground", "--lake", self.lake, says="something is there")
        self.nothing_left()

    def test_interrupted(self):
        process = self.start("bench", "mount", "--dir", "ground", "--files", "5000000", "--steps", "create,stat")
        ground = self.path("ground")
        while process.poll() is None:  # until a file was made in the mount
            made = [os.path.join(ground, top, "mount/create/d0/f0") for top in os.listdir(ground)]
            native = [os.path.join(ground, top, "native/create/d0/f0") for top in os.listdir(ground)]
            if any(map(os.path.exists, made + native)):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        self.assertEqual((process.returncode, err),
                         (130, b"tarn bench mount: interrupted: what was made for it is removed\n"))
        self.nothing_left()

    def test_a_mount_that_dies_is_an_error(self):
        process = self.start("bench", "mount", "--dir", "ground", "--files", "5000000", "--steps", "create")
        ground = self.path("ground")
        while process.poll() is None:
            if any(os.path.exists(os.path.join(ground, top, "native/create/d0/f0")) for top in os.listdir(ground)):
                break
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            session, = children.read().split()
        os.kill(int(session), signal.SIGKILL)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(err, rb"\Atarn bench mount: interrupted: [^\n]*signal 9[^\n]*\n\Z")
        self.nothing_left()


if __name__ == "__main__":
    unittest.main()
