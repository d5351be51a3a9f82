"""import and export: what goes in comes out the same, and nothing else is touched."""
import filecmp
import os
import random
import socket
import stat
import subprocess
import unittest

from support import TARN, LakeCase, same_tree

ROOT = os.geteuid() == 0


class RoundTrip(LakeCase):
    def round_trip(self, source="tree"):
        self.ok("import", "-q", source, "/t")
        self.ok("export", "-q", "/t", "out")
        same_tree(self, self.path(source), self.path("out"))
        self.assertIn("no problems", self.ok("check", "--deep").text)

    def test_everything_a_tree_can_hold(self):
        for size in (0, 1, 4095, 65536, 65537, 131072, 131073, 400_001):
            self.write(f"tree/sizes/{size}", random.Random(size).randbytes(size))
        self.write("tree/modes/exec", "x")
        os.chmod(self.path("tree/modes/exec"), 0o4751)
        self.write("tree/modes/shut/inside", "x")
        os.chmod(self.path("tree/modes/shut/inside"), 0o400)
        os.chmod(self.path("tree/modes/shut"), 0o1555)
        os.link(self.path("tree/sizes/400001"), self.path("tree/also"))
        os.symlink("sizes/1", self.path("tree/link"))
        os.symlink("/outside/\n", self.path("tree/dangling"))
        os.mkfifo(self.path("tree/fifo"), 0o640)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(self.path("tree/socket"))
        if ROOT:
            os.mknod(self.path("tree/device"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
            os.chown(self.path("tree/sizes/1"), 1234, 4321)
            os.chown(self.path("tree/link"), 77, 88, follow_symlinks=False)
        os.setxattr(self.path("tree/sizes/0"), "user.tag", b"\x00\xffbytes")
        os.setxattr(self.path("tree/modes"), "user.dir", b"")
        os.utime(self.path("tree/sizes/1"), ns=(1_000_000_001, -1_500_000_001))
        os.utime(self.path("tree/link"), ns=(5, 6), follow_symlinks=False)
        os.utime(self.path("tree/sizes"), ns=(10**18 + 7, 10**18 + 9))
        self.round_trip()
        if ROOT:
            device = os.stat(self.path("out/device"))
            self.assertEqual(device.st_rdev, os.makedev(1, 3))

    def test_names_are_bytes(self):
        names = [b"new\nline", b"tab\there", b"back\\slash", b"\xff\xfe", b"sp ace", "übergröße".encode(), b"-dash",
                 b"[x]", b"\x01\x02", b"\x7f", b"n" * 255]
        for name in names:
            path = os.path.join(os.fsencode(self.path("tree")), name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(name)
        self.round_trip()
        shown = self.ok("ls", "-a", "/t").out
        self.assertEqual(shown.count(b"\n"), len(names))
        for text in (rb"new\nline", rb"tab\there", rb"back\\slash", rb"\377\376", rb"\001\002"):
            self.assertIn(text + b"\n", shown)
        paths = {e["path"]: e for e in self.ok("ls", "-a", "--json", "/t").json}
        self.assertIn("/t/new\nline", paths)
        self.assertEqual(bytes.fromhex(paths["/t/\\377\\376"]["path_hex"]), b"/t/\xff\xfe")
        for name in names:
            self.assertEqual(self.ok("cat", "--", b"/t/" + name).out, name)
        line = self.fails(3, "cat", b"/t/gone\n\xff", says=r"/t/gone\n\377")
        self.assertNotIn("\udcff", line)

    def test_generated_tree(self):
        rng = random.Random(7)
        directories = ["tree"]
        for i in range(400):
            parent = rng.choice(directories)
            if rng.random() < 0.2:
                directories.append(f"{parent}/d{i}")
                os.makedirs(self.path(directories[-1]), exist_ok=True)
            else:
                self.write(f"{parent}/f{i}", rng.randbytes(int(rng.paretovariate(0.5)) % 300_000))
        self.round_trip()
        subprocess.run(["diff", "-r", self.path("tree"), self.path("out")], check=True)

    @unittest.skipUnless(os.path.isdir("/usr/include/linux"), "needs some real tree")
    def test_a_real_tree(self):
        self.ok("import", "-q", "/usr/include/linux", "/t")
        self.ok("export", "-q", "/t", "out")
        subprocess.run(["diff", "-r", "/usr/include/linux", self.path("out")], check=True)
        same_tree(self, "/usr/include/linux", self.path("out"))

    def test_deep_and_wide(self):
        os.makedirs(self.path("tree"))
        here = os.open(self.path("tree"), os.O_RDONLY)
        for _ in range(600):
            os.mkdir("deep" * 8, dir_fd=here)
            below = os.open("deep" * 8, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        for i in range(2500):  # more than a page
            os.close(os.open(self.path("tree", f"w{i}"), os.O_CREAT | os.O_WRONLY))
        self.ok("import", "-q", "tree", "/t")
        self.assertEqual(len(self.lines("ls", "/t")), 2501)
        listing = self.lines("tree", "/t")
        self.assertEqual(listing[-1], "600 directories, 2,500 files")
        # The paths are longer than a system call takes, so the lake itself compares.
        self.ok("export", "-q", "/t", "out")
        self.ok("import", "-q", "out", "/t2")
        self.assertEqual(self.lines("tree", "/t2")[1:], listing[1:])

    def test_holes_stay_holes(self):
        with open(self.path("sparse"), "wb") as file:
            file.truncate(1 << 30)
            file.seek(300 << 20)
            file.write(b"island")
            file.seek((1 << 30) - 3)
            file.write(b"end")
        with open(self.path("all-hole"), "wb") as file:
            file.truncate(5 << 20)
        self.ok("import", "-q", "sparse", "all-hole", "/")
        self.assertEqual(self.ok("stat", "--json", "/sparse").json[0]["size"], 1 << 30)
        self.assertLess(int(self.ok("du", "/sparse").text.split()[0]), 1024)
        os.mkdir(self.path("out"))
        self.ok("export", "-q", "/sparse", "out")
        self.ok("export", "-q", "/all-hole", "out")
        self.assertLess(os.stat(self.path("out/sparse")).st_blocks * 512, 4 << 20)
        self.assertEqual(os.stat(self.path("out/all-hole")).st_size, 5 << 20)
        self.assertTrue(filecmp.cmp(self.path("sparse"), self.path("out/sparse"), shallow=False))

    def test_a_large_file_in_bounded_memory(self):
        with open(self.path("large"), "wb") as file:
            block = random.Random(1).randbytes(1 << 20)
            for i in range(700):  # more than the store's memory budget; mostly the same block, so dedup works too
                file.write(block if i % 7 else random.Random(i).randbytes(1 << 20))
        for args in (["import", "-q", "large", "/large"], ["export", "-q", "/large", "back"]):
            process = self.start(*args)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            self.assertLess(usage.ru_maxrss, 640 << 10)  # KiB; the store's budget and buffers, not the file
        self.assertTrue(filecmp.cmp(self.path("large"), self.path("back"), shallow=False))


class Destinations(LakeCase):
    def setUp(self):
        super().setUp()
        self.write("src/f", "1")

    def test_import_like_cp(self):
        self.ok("import", "-q", "src", "/new")
        self.ok("mkdir", "/dir")
        self.ok("import", "-q", "src/", "/dir")
        self.ok("import", "-q", ".", "/all", cwd=self.path("src"))
        self.ok("import", "-q", "src/f", "/")
        self.assertEqual(self.lines("ls", "/"), ["all", "dir", "f", "new"])
        self.assertEqual(self.lines("ls", "/dir"), ["src"])
        self.fails(1, "import", "src/f", "/f", says="--replace")
        self.fails(3, "import", "src/f", "/nowhere/", says="no such directory")

    def test_replace(self):
        self.ok("import", "-q", "src", "/new")
        self.ok("rm", "/new/f")
        self.write("src/g", "2")
        preview = self.ok("import", "--replace", "--dry-run", "src/g", "/new").text
        self.assertIn("would import", preview)
        self.ok("import", "-q", "src", "/")
        self.fails(1, "import", "src", "/", says="--replace")
        self.assertIn("replacing", self.ok("import", "--replace", "--dry-run", "src", "/").text)
        self.write("src/h", "3")
        self.ok("import", "-q", "--replace", "src", "/")
        self.assertEqual(self.lines("ls", "/src"), ["f", "g", "h"])

    def test_the_lake_itself_is_no_source(self):
        self.write("lake2/sub/x", "")
        self.fails(1, "import", ".", "/all", says=["own storage"])
        self.fails(1, "import", "lake", "/x", says="own storage")
        self.fails(1, "import", "lake/manifest", "/x", says="own storage")
        self.fails(1, "import", "lake/LOCK", "/x", says="own storage")
        self.ok("import", "-q", "lake2", "/x")

    def test_export_like_cp(self):
        self.ok("import", "-q", "src", "/src")
        self.ok("export", "-q", "/src", "a")
        os.mkdir(self.path("b"))
        self.ok("export", "-q", "/src", "b/")
        self.ok("export", "-q", "/src/f", "b")
        self.assertEqual(sorted(os.listdir(self.path("b"))), ["f", "src"])
        self.fails(1, "export", "/src", "b", says=["b/src", "--force"])
        self.fails(1, "export", "/src/f", "a/f", says="--force")
        self.fails(3, "export", "/src", "no/where", says="no")
        self.write("b/src/f", "changed")
        self.write("b/src/mine", "mine")
        self.ok("export", "-q", "--force", "/src", "b")
        with open(self.path("b/src/f"), "rb") as file:
            self.assertEqual(file.read(), b"1")
        self.assertTrue(os.path.exists(self.path("b/src/mine")))

    def test_export_of_the_root(self):
        self.ok("import", "-q", "src", "/src")
        self.ok("export", "-q", "/", "whole")
        self.assertEqual(os.listdir(self.path("whole")), ["src"])
        os.mkdir(self.path("empty"))
        self.ok("export", "-q", "/", "empty")
        self.assertEqual(os.listdir(self.path("empty")), ["src"])
        self.fails(1, "export", "/", "empty", says="empty")
        self.ok("export", "-q", "--force", "/", "empty")

    def test_export_follows_no_link_below_the_destination(self):
        self.ok("import", "-q", "src", "/src")
        os.makedirs(self.path("dest"))
        os.makedirs(self.path("elsewhere"))
        os.symlink(self.path("elsewhere"), self.path("dest/src"))
        self.fails(1, "export", "/src", "dest")
        self.fails(1, "export", "--force", "/src", "dest", says="dest/src")
        self.assertEqual(os.listdir(self.path("elsewhere")), [])
        self.ok("mkdir", "/l")
        self.ok("ln", "-s", self.path("elsewhere"), "/l/src")
        os.makedirs(self.path("dest2/l"))
        os.symlink(self.path("elsewhere/f"), self.path("dest2/l/src"))
        self.ok("export", "-q", "--force", "/l", "dest2")
        self.assertEqual(os.readlink(self.path("dest2/l/src")), self.path("elsewhere"))
        self.assertEqual(os.listdir(self.path("elsewhere")), [])

    def test_progress_goes_to_the_terminal_only(self):
        self.write("src/big", os.urandom(8 << 20))
        self.assertIn("imported 3 items", self.ok("import", "src", "/p").text)
        self.assertEqual(self.ok("import", "-q", "src", "/q").out, b"")
        script = f"'{TARN}' import src /r"
        done = subprocess.run(["script", "-qec", script, "/dev/null"], cwd=self.dir, env=self.environment(),
                              capture_output=True, check=True)
        self.assertIn(b"imported 3 items", done.stdout)


if __name__ == "__main__":
    unittest.main()
