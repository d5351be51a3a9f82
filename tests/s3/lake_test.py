"""A lake in the bucket of the real server, by the program `tarn`: what goes in comes out.

The program comes in $TARN_PROGRAM, the server's environment in the file $TARN_S3_ENVIRONMENT, or is the environment.
"""
import errno
import glob
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
import unittest

from support import assignments, skip_if_off


def server_env():
    if "TARN_S3_ENDPOINT" in os.environ:
        return dict(os.environ)
    with open(os.environ["TARN_S3_ENVIRONMENT"], encoding="utf-8") as f:
        return dict(os.environ, **assignments(f.read()))


class LakeCase(unittest.TestCase):
    def setUp(self):
        self.env = server_env()
        self.env.pop("TARN_LAKE", None)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        name = self.id().rpartition(".")[2]
        self.lake = (f"s3://{self.env['TARN_S3_BUCKET']}/test/lake_test.{name}/{os.getpid()}"
                     f"?endpoint={self.env['TARN_S3_ENDPOINT']}")

    def tarn(self, *args, expect=0):
        lake = [] if "--lake" in args else ["--lake", self.lake]
        done = subprocess.run([os.environ["TARN_PROGRAM"], *lake, *args], env=self.env, text=True,
                              capture_output=True, timeout=300, check=False)
        self.assertEqual(done.returncode, expect, f"{args}: {done.stderr}")
        return done

    def path(self, *parts):
        return os.path.join(self.folder.name, *parts)

    def make_tree(self):
        chance = random.Random(7)
        for folder in ("a", "a/b c", "a/b c/ümläut", "empty"):
            os.makedirs(self.path("tree", folder))
        for i in range(300):
            where = chance.choice(("a", "a/b c", "a/b c/ümläut"))
            with open(self.path("tree", where, f"file {i}+%.txt"), "wb") as file:
                file.write(chance.randbytes(chance.randrange(20000)))
        with open(self.path("tree", "large"), "wb") as file:
            file.write(chance.randbytes(12 << 20))
        os.symlink("large", self.path("tree", "link"))


class LakeTest(LakeCase):
    def test_what_goes_in_comes_out(self):
        self.make_tree()
        self.tarn("init")
        self.tarn("import", self.path("tree"), "/tree")
        self.tarn("snapshot", "create", "before")
        self.tarn("rm", "-r", "/tree/a")
        self.assertNotIn("a/", self.tarn("ls", "/tree").stdout.split())
        for at, into in ((["--at", "before"], "out"), ([], "less")):
            self.tarn("export", *at, "/tree", self.path(into))
        same = subprocess.run(["diff", "-r", "--no-dereference", self.path("tree"), self.path("out")], check=False,
                              capture_output=True, text=True)
        self.assertEqual((same.returncode, same.stdout), (0, ""))
        self.assertEqual(sorted(os.listdir(self.path("less"))), ["empty", "large", "link"])
        self.tarn("check", "--deep")

    def test_a_directory_in_a_bucket_and_back(self):
        self.make_tree()
        bucket, self.lake = self.lake, self.path("lake")
        backups = bucket.replace("?", "/backups?", 1)
        self.tarn("init")
        self.tarn("import", self.path("tree"), "/tree")
        self.tarn("backup", backups)
        self.tarn("rm", "-r", "/tree/a")
        sent = self.tarn("backup", "--json", backups).stdout
        self.assertEqual(json.loads(sent)["number"], 2)
        self.assertLess(json.loads(sent)["sent_bytes"], 1 << 20)
        self.assertTrue(json.loads(self.tarn("backup", "verify", "--deep", "--json", backups).stdout)["ok"])
        for lake in (self.path("back"), bucket.replace("?", "/back?", 1)):
            self.tarn("restore", "--at", "1", backups, lake)
            self.expect_tree(lake)
        trials = self.path("trial"), bucket.replace("?", "/trial?", 1)
        for lake in trials:
            self.tarn("clone", "--at", "1", backups, lake)
        self.tarn("backup", "prune", "--keep", "1", backups)
        for lake in trials:
            self.expect_tree(lake)
            self.tarn("--lake", lake, "mkdir", "/more")
            self.tarn("clone", "--detach", lake)
        self.tarn("backup", "prune", "--keep", "1", backups)
        for lake in trials:
            self.expect_tree(lake)
        self.assertEqual(json.loads(self.tarn("backup", "list", "--json", backups).stdout)["clones"], [])

    def expect_tree(self, lake):
        out = self.path(f"out-{time.monotonic_ns()}")
        self.tarn("--lake", lake, "export", "/tree", out)
        same = subprocess.run(["diff", "-r", "--no-dereference", self.path("tree"), out], check=False,
                              capture_output=True, text=True)
        self.assertEqual((same.returncode, same.stdout), (0, ""))

    def test_a_cache_on_the_disk(self):
        self.make_tree()
        self.tarn("init")
        self.assertIn("cache=DIR", self.tarn("warm", "/", expect=1).stderr)
        self.tarn("import", self.path("tree"), "/tree")
        self.lake += f"&cache={self.path('cache')}&cache_size=64MiB&cache_reserve=0"
        first = json.loads(self.tarn("warm", "--json", "/").stdout)
        self.assertEqual(first["files"], 301)
        self.assertGreater(first["bytes"], 12 << 20)
        self.assertGreater(first["cache_misses"], 0)
        again = json.loads(self.tarn("warm", "--json", "/tree").stdout)
        self.assertEqual((again["files"], again["cache_misses"]), (301, 0))
        self.assertGreater(again["cache_hits"], 0)
        self.tarn("export", "/tree", self.path("out"))
        same = subprocess.run(["diff", "-r", "--no-dereference", self.path("tree"), self.path("out")], check=False,
                              capture_output=True, text=True)
        self.assertEqual((same.returncode, same.stdout), (0, ""))
        self.tarn("warm", "/nowhere", expect=3)

    def test_a_bare_store(self):
        self.tarn("kv", "get", "k", expect=3)
        self.tarn("kv", "put", "k", "v")
        self.assertEqual(self.tarn("kv", "get", "k").stdout.strip(), "v")

    def cost(self, *args):
        """What --cost says that a command's requests were, by verb, and its money."""
        said = self.tarn("--cost", *args)
        line = said.stderr.splitlines()[-1]
        self.assertRegex(line, r"^tarn [a-z ]+: cost: .*; [\d.]+ \w+ sent, [\d.]+ \w+ received; [\d.]+ "
                               r"\(requests [\d.]+, transfer [\d.]+\)$")
        requests = {verb: int(n) for n, verb in re.findall(r"(\d+) ([A-Z-]+)(?=[,; ])", line.split(";")[0])}
        return said.stdout, requests, float(re.search(r"; ([\d.]+) \(requests", line).group(1))

    def test_what_it_costs_is_told(self):
        _, made, money = self.cost("init")
        self.assertGreater(made["PUT"], 30, "the proof is counted, and the lake's first objects")
        self.assertGreater(money, 0.0001)
        _, read, money = self.cost("ls", "/")
        self.assertNotIn("PUT", read)
        self.assertLess(money, 0.001)
        stats = json.loads(self.tarn("stats", "--json").stdout)
        self.assertGreater(stats["backend.s3.requests.get"], 0)
        self.assertGreater(stats["cost.requests"], 0)
        held = stats["tables.bytes"] + stats["wal.live_bytes"]
        self.assertAlmostEqual(stats["cost.storage_a_month"], held / 2**30 * 0.023)
        self.assertIn("a month", self.tarn("stats").stdout)
        self.lake += "&write_price=0&read_price=0&egress_price=0&storage_price=1000"
        _, read, money = self.cost("ls", "/")
        self.assertTrue(read)
        self.assertEqual(money, 0)
        dear = json.loads(self.tarn("stats", "--json").stdout)
        self.assertAlmostEqual(dear["cost.storage_a_month"], held / 2**30 * 1000)
        said = self.tarn("--cost", "cat", "/missing", expect=3).stderr.splitlines()
        self.assertTrue(said[0].startswith("tarn cat: /missing"), said)
        self.assertTrue(said[1].startswith("tarn cat: cost: "), said)
        self.lake = self.path("near")
        self.tarn("init")
        self.assertEqual(self.tarn("--cost", "ls", "/").stderr, "tarn ls: cost: no bucket was used\n")

    def test_the_example(self):
        for _ in range(2):  # the second finds the store of the first
            ran = subprocess.run([os.environ["TARN_EXAMPLE"], self.lake], env=self.env, check=False,
                                 capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, "row/31 = 961\n", ""))
        self.assertEqual(self.tarn("kv", "get", "done").stdout.strip(), "yes")

    def test_what_a_bucket_cannot_do_is_said_in_a_line(self):
        said = self.tarn("ls", "/", expect=3).stderr
        self.assertRegex(said, r"^tarn ls: no lake at s3://[^\n]*init[^\n]*\n$")
        self.tarn("init")
        said = self.tarn("dump", expect=1).stderr
        self.assertRegex(said, r"^tarn dump: s3://[^\n]*a bucket has none\n$")
        self.env["AWS_SECRET_ACCESS_KEY"] = "NotTheSecret"
        said = self.tarn("ls", "/", expect=1).stderr
        self.assertEqual(said.count("\n"), 1)
        self.assertIn("$AWS_ACCESS_KEY_ID", said)
        self.assertNotIn("NotTheSecret", said)


def fuse_works():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([os.environ["TARN_PROGRAM"], "--lake", folder, "doctor", "--json"], capture_output=True,
                              check=False, text=True)
    return any(f["what"] == "mount" and f["verdict"] == "ok" for f in json.loads(done.stdout))


@unittest.skipUnless(fuse_works(), "no FUSE on this machine")
class MountTest(LakeCase):
    def setUp(self):
        super().setUp()
        self.env["XDG_STATE_HOME"] = self.path("state")
        self.lake += "&deadline_seconds=4"  # so that a test need not wait for a minute
        self.tarn("init")

    def mount(self, *args, at="mnt"):
        os.makedirs(self.path(at), exist_ok=True)
        said = self.tarn("mount", *args, self.path(at)).stdout
        self.addCleanup(self.take_away, self.path(at))
        return int(said.split("(pid ")[1].split(")")[0])

    def take_away(self, mountpoint):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            if f" {mountpoint} " in mounts.read():
                self.tarn("umount", mountpoint)

    def same(self, left, right):
        done = subprocess.run(["diff", "-r", "--no-dereference", left, right], check=False, capture_output=True,
                              text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_a_tree_goes_through_the_mount(self):
        self.make_tree()
        pid = self.mount()
        subprocess.run(["cp", "-a", self.path("tree"), self.path("mnt")], check=True)
        self.assertIn("tree", self.tarn("ls", "/").stdout.split())  # through the mount: it is not durable yet
        self.tarn("mkdir", "/by-verb")
        self.assertEqual(sorted(os.listdir(self.path("mnt"))), ["by-verb", "tree"])
        os.makedirs(self.path("second"))
        self.assertIn(str(pid), self.tarn("mount", self.path("second"), expect=4).stderr)
        self.tarn("umount", self.path("mnt"))
        self.assertFalse(self.alive(pid))
        self.mount()
        self.same(self.path("tree"), self.path("mnt", "tree"))
        # Killed: what was synced is there, and the lake whole.
        pid = self.mount_again_after_kill()
        self.same(self.path("tree"), self.path("mnt", "tree"))
        with open(self.path("mnt", "synced"), encoding="ascii") as file:
            self.assertEqual(file.read(), "kept")
        self.tarn("umount", self.path("mnt"))
        self.tarn("check", "--deep")

    @staticmethod
    def alive(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def mount_again_after_kill(self):
        with open(self.path("mnt", "synced"), "w", encoding="ascii") as file:
            file.write("kept")
            file.flush()
            os.fsync(file.fileno())
        # Its second session; the pid is in its log.
        (log,) = glob.glob(self.path("state", "tarn", "mounts", "*", "mount.log"))
        with open(log, encoding="utf-8") as lines:
            pid = int(lines.read().splitlines()[-1].split(" pid ")[1].split(":")[0])
        os.kill(pid, signal.SIGKILL)
        self.tarn("umount", self.path("mnt"))
        return self.mount()

    def test_a_server_that_hangs(self):
        self.make_tree()
        self.tarn("import", self.path("tree"), "/tree")
        self.mount()
        # Warm enough that only content has to come from the server.
        os.listdir(self.path("mnt", "tree", "a"))
        self.gateway("pause")
        self.addCleanup(self.gateway, "resume")
        with self.assertRaises(OSError) as failed, open(self.path("mnt", "tree", "large"), "rb") as file:
            file.read()
        self.assertEqual(failed.exception.errno, errno.EIO)
        self.gateway("resume")
        self.same(self.path("tree"), self.path("mnt", "tree"))

    def test_who_waits_for_the_server_can_leave(self):
        self.lake = self.lake.replace("deadline_seconds=4", "deadline_seconds=1800")  # longer than this test may take
        self.make_tree()
        self.tarn("import", self.path("tree"), "/tree")
        self.mount()
        self.gateway("pause")
        self.addCleanup(self.gateway, "resume")
        with subprocess.Popen(["cat", self.path("mnt", "tree", "large")], stdout=subprocess.DEVNULL) as reader:
            while self.waits_for(reader.pid) != "fuse":
                time.sleep(0.05)
            reader.send_signal(signal.SIGINT)
            self.assertEqual(reader.wait(timeout=120), -signal.SIGINT)
        self.gateway("resume")
        self.same(self.path("tree"), self.path("mnt", "tree"))

    @staticmethod
    def waits_for(pid):
        """"fuse" once the process is asleep in a call of the mount, as far as this kernel tells."""
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
            where = file.read()
        return "fuse" if state in "SD" and ("request" in where or where in ("", "0")) else where

    def gateway(self, what):
        script = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "s3_server")
        subprocess.run([script, "gateway", what], check=True, env=self.env, capture_output=True)

    def test_a_mount_that_follows(self):
        writer, reader = self.path("mnt"), self.path("reader")
        self.mount()
        self.mount("--follow", "--every", "1", at="reader")
        for i in range(3):
            with open(os.path.join(writer, f"f{i}"), "w", encoding="ascii") as file:
                file.write(f"content {i}")
                file.flush()
                os.fsync(file.fileno())
            self.await_content(os.path.join(reader, f"f{i}"), f"content {i}")
        with open(os.path.join(writer, "f0"), "w", encoding="ascii") as file:
            file.write("changed")
        self.await_content(os.path.join(reader, "f0"), "changed")  # by the writer's clock
        with self.assertRaises(OSError) as failed:
            os.mkdir(os.path.join(reader, "d"))
        self.assertEqual(failed.exception.errno, errno.EROFS)
        self.tarn("umount", reader)
        self.tarn("mkdir", "/the-writer-goes-on")

    def await_content(self, path, wanted):
        found = None
        for _ in range(600):
            try:
                with open(path, encoding="ascii") as file:
                    found = file.read()
            except FileNotFoundError:
                pass
            if found == wanted:
                return
            time.sleep(0.1)
        self.fail(f"{path} is {found!r} and not {wanted!r}")


if __name__ == "__main__":
    skip_if_off()
    unittest.main()
