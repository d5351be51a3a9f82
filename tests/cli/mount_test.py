"""mount and umount: the program's part of it (what the mounted file system does is tested in tests/fuse)."""
import errno
import json
import os
import signal
import subprocess
import time
import unittest

from support import TARN, LakeCase


def fuse_works():
    done = subprocess.run([TARN, "doctor", "--json"], capture_output=True, check=False,
                          env={k: v for k, v in os.environ.items() if k != "TARN_LAKE"})
    return any(f["what"] == "mount" and f["verdict"] == "ok" for f in json.loads(done.stdout))


class Refused(LakeCase):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("mnt"))

    def test_mountpoints(self):
        self.fails(3, "mount", "missing", says=["missing", "mkdir"])
        self.write("file")
        self.fails(1, "mount", "file", says="file")
        self.write("full/x")
        self.fails(1, "mount", "full", says=["full", "empty"])
        os.mkdir(self.path("lake/inside"))
        self.fails(1, "mount", "lake/inside", says="apart")
        self.fails(1, "mount", "-o", "ro,bogus", "mnt", says=["bogus", "allow_other"])
        self.fails(1, "umount", "mnt", says="no lake is mounted")
        self.fails(3, "umount", "missing", says="missing")

    @unittest.skipUnless(os.geteuid() == 0, "hides a lake under a mountpoint, which takes root")
    def test_the_lake_below_the_mountpoint(self):
        # A directory that is empty to the eye but holds the lake's storage: reached through a bind mount.
        os.makedirs(self.path("outer/lake"))
        subprocess.run(["mount", "--bind", self.lake, self.path("outer/lake")], check=True)
        self.addCleanup(subprocess.run, ["umount", self.path("outer/lake")], check=True)
        self.fails(1, "--lake", self.path("outer/lake"), "mount", "outer")


@unittest.skipUnless(fuse_works(), "no FUSE on this machine")
class Mounted(LakeCase):
    def setUp(self):
        super().setUp()
        self.mnt = self.path("mnt")
        os.mkdir(self.mnt)
        self.addCleanup(self._release)

    def _release(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:  # also one whose process is dead
            mounted = f" {self.mnt} " in mounts.read()
        if mounted:
            self.tarn("umount", self.mnt)

    def mount(self, *args):
        text = self.ok("mount", *args, self.mnt).text
        self.assertIn(f"mounted {self.lake} at {self.mnt} (pid ", text)
        return int(text.split("pid ")[1].rstrip(")\n"))

    def test_a_session(self):
        pid = self.mount()
        with open(os.path.join(self.mnt, "f"), "w", encoding="ascii") as file:
            file.write("through the mount")
        # Verbs go through the process that holds the lake.
        self.assertEqual(self.ok("cat", "/f").out, b"through the mount")
        self.ok("mkdir", "/by-verb")
        self.assertEqual(sorted(os.listdir(self.mnt)), ["by-verb", "f"])
        self.write("tree/x", "imported")
        self.ok("import", "-q", "tree", "/tree")
        with open(os.path.join(self.mnt, "tree/x"), "rb") as file:
            self.assertEqual(file.read(), b"imported")
        facts = {f["what"]: f for f in self.ok("doctor", "--json").json}
        self.assertIn(str(pid), facts["lake"]["detail"])
        self.fails(4, "mount", self.mnt, says="umount")
        os.mkdir(self.path("mnt2"))
        self.fails(4, "mount", "mnt2", says=[str(pid), "tarn mount"])
        self.ok("umount", "-q", self.mnt)
        # The lake is free, the process gone, and the session in the log.
        self.assertFalse(os.path.exists(f"/proc/{pid}") and self._alive(pid))
        self.assertFalse(os.path.exists(os.path.join(self.lake, "serve.sock")))
        self.assertEqual(self.ok("cat", "/f").out, b"through the mount")
        self.assertIn(" mount ", self.ok("log", "--json").json[0]["command"] + " ")
        with open(os.path.join(self.lake, "mount.log"), encoding="utf-8") as log:
            self.assertEqual([line.split(": ")[1] for line in log.read().splitlines()], ["mounted", "unmounted"])

    @staticmethod
    def _alive(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"

    def test_a_backup_beside_it(self):
        self.mount()
        with open(os.path.join(self.mnt, "hello"), "w", encoding="utf-8") as file:
            file.write("hi\n")
        self.ok("backup", "backups", "-q")  # a relative path of the client, in the process of the mount
        self.ok("restore", "backups", "back", "-q")
        self.assertEqual(self.ok("cat", "/hello", "--lake", self.path("back")).text, "hi\n")
        self.ok("umount", self.mnt)

    def test_snapshot_is_read_only(self):
        self.write("f", "one")
        self.ok("import", "-q", "f", "/f")
        self.ok("snapshot", "create", "s")
        self.ok("rm", "/f")
        self.fails(3, "mount", "--at", "nope", self.mnt, says="nope")
        self.mount("-o", "at=s")
        with open(os.path.join(self.mnt, "f"), "rb") as file:
            self.assertEqual(file.read(), b"one")
        with self.assertRaises(OSError):
            os.mkdir(os.path.join(self.mnt, "x"))
        self.ok("umount", "-q", self.mnt)

    def test_busy(self):
        self.mount()
        with open(os.path.join(self.mnt, "open"), "w", encoding="ascii"):
            self.fails(4, "umount", self.mnt, says=["close", self.mnt])
        self.ok("umount", "-q", self.mnt)

    def test_foreground_ends_cleanly_on_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("mount", "-f", self.mnt)
            self.assertIn(b"mounted", process.stdout.readline())
            with open(os.path.join(self.mnt, f"f{number}"), "w", encoding="ascii") as file:
                file.write("kept")
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (0, b""))
            self.assertEqual(self.ok("cat", f"/f{number}").out, b"kept")
        self.assertIn("no problems", self.ok("check").text)

    def test_a_mount_that_follows(self):
        os.mkdir(self.path("reader"))
        more = {"env": self.environment(XDG_STATE_HOME=self.path("state"))}
        self.fails(1, "mount", "--every", "2", "reader", says="--follow", **more)
        self.fails(1, "mount", "--follow", "--at", "s", "reader", says="snapshot", **more)
        self.mount()
        self.ok("mount", "--follow", "--every", "1", "reader", **more)
        self.addCleanup(subprocess.run, ["umount", "-lq", self.path("reader")], check=False)
        for text in ("one", "two", "a third, longer"):
            with open(os.path.join(self.mnt, "f"), "w", encoding="ascii") as file:
                file.write(text)
            found = None
            for _ in range(600):
                if os.path.exists(self.path("reader/f")):
                    with open(self.path("reader/f"), encoding="ascii") as file:
                        found = file.read()
                if found == text:
                    break
                time.sleep(0.1)
            self.assertEqual(found, text)
        self.assertEqual(self.fails_to_write(self.path("reader/g")), errno.EROFS)
        self.ok("umount", "-q", "reader", **more)
        self.assertEqual(os.listdir(self.path("reader")), [])
        self.ok("mkdir", "/the-writer-goes-on")

    @staticmethod
    def fails_to_write(path):
        try:
            with open(path, "w", encoding="ascii"):
                return 0
        except OSError as error:
            return error.errno

    def test_a_dead_mount_can_be_taken_away(self):
        pid = self.mount()
        os.kill(pid, signal.SIGKILL)
        self.ok("umount", "-q", self.mnt)
        self.ok("ls", "/")


if __name__ == "__main__":
    unittest.main()
