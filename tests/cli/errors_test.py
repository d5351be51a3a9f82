"""Errors are one line that says what, where, and what to do next, and the exit code says which kind it is."""
import os
import signal
import subprocess
import unittest

from support import TARN, LakeCase


class Usage(LakeCase):
    make_lake = False

    def test_mistyped_verbs_and_options(self):
        self.fails(2, "lss", says=["'ls'", "--help"])
        self.fails(2, "improt", "a", "/b", says="'import'")
        self.fails(2, "snap", says="'snapshot'")
        self.fails(2, "snapshot", "crate", "x", says=["'create'", "snapshot --help"])
        self.fails(2, "xyzzy", says="no such verb")
        self.fails(2, "rm", "--recursve", "/x", says=["'--recursive'", "rm --help"])
        self.fails(2, "ls", "--jason", says="'--json'")
        self.fails(2, "ls", "-Z", says="no such option")
        self.fails(2, "--lak", "x", "ls")
        self.fails(2, says="--help")
        self.fails(2, "snapshot", says="--help")

    def test_operands(self):
        self.fails(2, "cat", says="PATH")
        self.fails(2, "import", "x", says="SOURCE... DEST")
        self.fails(2, "ln", "/a", "/b", "/c", says="one operand too many")
        self.fails(2, "log", "-n", "many", says="log --help")
        self.fails(2, "--lake", says="--lake")

    def test_no_lake(self):
        nowhere = {k: v for k, v in os.environ.items() if k != "TARN_LAKE"}
        self.fails(1, "ls", says=["--lake", "TARN_LAKE"], env=nowhere)
        self.fails(3, "ls", says=[f"no lake at {self.lake}", f"tarn --lake {self.lake} init"])
        self.fails(3, "check", says="no lake")
        os.mkdir(self.lake)
        self.fails(3, "ls", says="no lake")
        self.write("lake/file")
        self.fails(3, "ls", says="no lake")
        self.fails(3, "mount", self.dir, says="no lake")

    def test_schemes(self):
        self.fails(1, "--lake", "gs://bucket/x", "ls", says=["gs", "file://"])
        self.fails(1, "--lake", "file://relative", "init", says="file:///path")


class Paths(LakeCase):
    def test_refused(self):
        self.fails(1, "ls", "/a/../b", says="'..'")
        self.fails(1, "ls", "data", says="/data")
        self.fails(1, "rm", "-r", "..", says="absolute")
        self.fails(1, "cat", "", says="absolute")
        self.fails(1, "mkdir", "/" + "n" * 256, says="255")
        self.fails(1, "import", TARN, "/x/../y", says="'..'")
        self.fails(3, "import", TARN, "/no/where", says="/no")
        self.fails(3, "import", "missing", "/x", says="missing")

    def test_files_are_no_directories(self):
        self.write("f")
        self.ok("import", "-q", "f", "/f")
        self.fails(1, "ls", "/f/", says="not a directory")
        self.fails(1, "ls", "/f/x", says="not a directory")
        self.fails(1, "mkdir", "/f/x", says="not a directory")
        self.fails(1, "import", "f", "/f/", says="not a directory")
        self.fails(1, "export", "/f", "f/x", says="Not a directory")

    def test_options_after_two_dashes_are_names(self):
        self.write("-r", "dash")
        self.ok("import", "-q", "--", "-r", "/-r")
        self.ok("import", "-q", "--", "-r", "/[a,b]")
        self.assertEqual(self.ok("cat", "--", "/-r").out, b"dash")
        self.assertEqual(self.lines("ls", "/"), ["-r", "[a,b]"])
        self.assertEqual(self.ok("cat", "/[a,b]").out, b"dash")


class InUse(LakeCase):
    def test_names_the_holder(self):
        self.ok("mkdir", "/before")
        with open(self.path("big"), "wb") as file:
            file.truncate(1 << 30)
            file.seek(1 << 29)
            file.write(os.urandom(256 << 20))
        holder = self.start("import", "-q", "big", "/big")
        lock = self.path("lake/LOCK")
        while str(holder.pid) not in open(lock).read():  # it holds the lake from here to its end
            self.assertIsNone(holder.poll())
        holder.send_signal(signal.SIGSTOP)
        for args in (["mkdir", "/x"], ["mount", self.path("mnt")]):
            os.makedirs(self.path("mnt"), exist_ok=True)
            self.fails(4, *args, says=[str(holder.pid), "tarn import -q big /big"])
        doctor = {f["what"]: f for f in self.ok("doctor", "--json").json}
        self.assertIn(str(holder.pid), doctor["lake"]["detail"])
        self.ok("dump")
        self.assertEqual(self.lines("ls", "/"), ["before"])  # reading needs no lock, and sees no half of an import
        holder.kill()
        holder.communicate()
        self.ok("ls", "/")

    def test_interrupted(self):
        self.write("big", os.urandom(1 << 20))
        self.ok("import", "-q", "big", "/big")
        process = self.start("cat", *["/big"] * 64)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertIn(process.returncode, (130, -signal.SIGINT))
        self.ok("check")

    def test_killed_import_leaves_nothing(self):
        self.write("tree/a", os.urandom(50_000))
        with open(self.path("tree/zzz"), "wb") as file:
            file.truncate(3 << 30)
            file.seek(2 << 30)
            file.write(os.urandom(64 << 20))
        process = self.start("import", "tree", "/tree")
        while not any(name != "LOCK" for name in os.listdir(os.path.join(self.lake, "wal"))):
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode != 0:
            self.assertEqual(self.lines("ls", "/"), [])
        self.assertIn("no problems", self.ok("check").text)


@unittest.skipUnless(os.geteuid() == 0, "becomes another user, which takes root")
class Permissions(LakeCase):
    NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

    def test_read_only_directory(self):
        os.chmod(self.dir, 0o755)
        self.fails(1, "init", "sub/lake", prefix=self.NOBODY)
        self.fails(1, "--lake", self.path("new"), "init", says=self.path("new"), prefix=self.NOBODY)
        self.ok("ls", "/", prefix=self.NOBODY)  # reading writes nothing
        self.fails(1, "mkdir", "/x", says=self.lake, prefix=self.NOBODY)
        self.assertFalse(os.path.exists(self.path("new")))

    def test_unreadable_source_imports_nothing(self):
        os.chmod(self.dir, 0o777)
        mine = self.path("mine")
        for args in (["init"], ["mkdir", "/d"]):
            self.ok("--lake", mine, *args, prefix=self.NOBODY)
        root = self.ok("--lake", mine, "stat", "--json", "/", prefix=self.NOBODY).json[0]
        self.assertEqual((root["uid"], root["gid"]), (65534, 65534))  # who makes a lake owns its root
        self.write("tree/open")
        os.chmod(self.write("tree/shut"), 0)
        self.fails(1, "--lake", mine, "import", "tree", "/d/tree", says=["tree/shut", "Permission denied"],
                   prefix=self.NOBODY)
        self.assertEqual(self.lines("--lake", mine, "ls", "/d", prefix=self.NOBODY), [])


@unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/loop-control"), "mounts a loop device")
class FullDisk(LakeCase):
    make_lake = False

    def setUp(self):
        super().setUp()
        self.image, self.small = self.path("image"), self.path("small")
        os.mkdir(self.small)
        with open(self.image, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.small], check=True)
        self.addCleanup(subprocess.run, ["umount", self.small], check=True)
        self.lake = self.path("small/lake")
        self.ok("init", "-q")

    def test_import_says_no_space_and_leaves_the_lake_whole(self):
        self.write("keep", "kept")
        self.ok("import", "-q", "keep", "/keep")
        filler = self.write("small/filler", bytes(28 << 20))
        self.write("big", os.urandom(64 << 20))
        self.fails(6, "import", "big", "/big", says="free space")
        os.unlink(filler)  # recovery writes the log's content into tables before it lets go of the log
        self.assertEqual(self.lines("ls", "/"), ["keep"])
        self.assertEqual(self.ok("cat", "/keep").out, b"kept")
        self.assertIn("no problems", self.ok("check").text)
        self.ok("mkdir", "/works-again")

    def test_export_says_no_space(self):
        self.lake = self.path("roomy")
        self.ok("init", "-q")
        self.write("big", os.urandom(80 << 20))
        self.ok("import", "-q", "big", "/big")
        self.fails(6, "export", "/big", "small/out", says=["small/out", "No space"])


if __name__ == "__main__":
    unittest.main()
