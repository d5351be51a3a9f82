"""tarn backup, restore and clone, as a person meets them."""
import os
import signal
import time
import unittest

from support import LakeCase, same_tree


class BackupCase(LakeCase):
    def setUp(self):
        super().setUp()
        for i in range(20):
            self.write(f"src/sub/file{i}", os.urandom(1000 + 500 * i))
        self.write("src/big", os.urandom(3_000_000))
        self.ok("import", self.path("src"), "/src", "-q")
        self.repository = self.path("backups")

    def backup(self, *more):
        return self.ok("backup", "--json", *more, self.repository).json

    def expect_src(self, lake, source="src", path="/src"):
        self.ok("check", "--deep", "--lake", lake)
        out = self.path(f"out-{time.monotonic_ns()}")
        self.ok("export", "--lake", lake, path, out, "-q")
        same_tree(self, self.path(source), out)

    def wait_for_the_first_table(self, running):
        """Its temporary file: the intent is there by then, and the limit keeps the end away."""
        tables = os.path.join(self.repository, "table")
        while not os.path.isdir(tables) or not os.listdir(tables):
            self.assertIsNone(running.poll())
            time.sleep(0.01)

    def test_there_and_back(self):
        first = self.backup("--label", "the first")
        self.assertEqual((first["number"], first["label"]), (1, "the first"))
        self.assertEqual(first["sent_bytes"], first["bytes"])
        self.assertGreater(first["bytes"], 3_000_000)
        self.ok("snapshot", "create", "monday", "-q")
        self.ok("mkdir", "/later", "-q")
        second = self.backup()
        self.assertLess(second["sent_bytes"], 100_000)
        listed = self.ok("backup", "list", "--json", self.repository).json
        self.assertEqual([one["number"] for one in listed["backups"]], [1, 2])
        self.assertIn("the first", self.ok("backup", "list", self.repository).text)
        self.assertRegex(self.ok("backup", "verify", self.repository).text, r"^2 backups of .*--deep")
        self.assertTrue(self.ok("backup", "verify", "--deep", "--json", self.repository).json["ok"])

        self.assertRegex(self.ok("restore", self.repository, self.path("back")).text, r"^restored backup 2 ")
        self.expect_src(self.path("back"))
        self.assertEqual(self.lines("ls", "/", "--lake", self.path("back")), ["later", "src"])
        self.assertEqual(self.lines("ls", "/", "--at", "monday", "--lake", self.path("back")), ["src"])
        self.ok("restore", "--at", "1", "--limit", "200MiB/s", self.repository, self.path("old"), "-q")
        self.assertEqual(self.lines("ls", "/", "--lake", self.path("old")), ["src"])

        self.assertIn("would delete 1 backup", self.ok("backup", "prune", "--keep", "1", "--dry-run",
                                                       self.repository).text)
        self.assertEqual(self.ok("backup", "prune", "--json", "--keep", "1", self.repository).json["removed"], [1])
        self.fails(3, "restore", "--at", "1", self.repository, self.path("gone"), says="tarn backup list")
        self.ok("backup", "verify", "--deep", self.repository)

    def test_a_clone(self):
        self.backup()
        self.ok("clone", self.repository, self.path("trial"), "-q")
        self.expect_src(self.path("trial"))
        self.ok("rm", "-r", "/src/sub", "--lake", self.path("trial"))
        self.assertEqual(self.lines("ls", "/src", "--lake", self.path("trial")), ["big"])
        self.assertEqual(self.lines("ls", "/src"), ["big", "sub"])
        self.ok("rm", "-r", "/src")
        self.backup()
        self.ok("backup", "prune", "--keep", "1", self.repository)
        self.ok("check", "--deep", "--lake", self.path("trial"))
        listed = self.ok("backup", "list", "--json", self.repository).json
        self.assertEqual([one["location"] for one in listed["clones"]], [self.path("trial")])
        self.ok("backup", "--lake", self.path("trial"), self.repository, "-q")
        self.ok("repair", self.path("trial"), self.path("saved"))
        self.assertEqual(self.lines("ls", "/src", "--lake", self.path("saved")), ["big"])
        self.ok("clone", "--detach", self.path("trial"), "-q")
        os.rename(self.repository, self.repository + "-away")
        self.ok("check", "--deep", "--lake", self.path("trial"))
        self.fails(3, "clone", "--detach", self.path("trial"), says="stands alone")

    def test_a_plain_store(self):
        store = self.path("store")
        for i in range(20):
            self.ok("kv", "put", f"key{i}", f"value{i}", "--lake", store)
        self.ok("kv", "backup", self.repository, "--lake", store)
        self.ok("restore", self.repository, self.path("back"), "-q")
        self.assertEqual(self.ok("kv", "scan", "--lake", self.path("back")).out,
                         self.ok("kv", "scan", "--lake", store).out)

    def test_interrupted_it_goes_on(self):
        running = self.start("backup", "--limit", "500KiB/s", "--json", self.repository)
        self.wait_for_the_first_table(running)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
        self.assertEqual(running.returncode, 130, err)
        self.assertRegex(err.decode(), r"\Atarn backup: [^\n]*the same command goes on from there\n\Z")
        self.fails(3, "restore", self.repository, self.path("back"), says="no backup was finished")
        self.assertEqual(self.backup()["number"], 1)
        self.ok("restore", self.repository, self.path("back2"), "-q")
        self.expect_src(self.path("back2"))

    def test_killed_it_goes_on(self):
        running = self.start("backup", "--limit", "500KiB/s", self.repository)
        intents = os.path.join(self.repository, "intent")
        self.wait_for_the_first_table(running)
        running.kill()
        running.wait()
        self.assertEqual(self.backup()["number"], 1)
        self.assertIn("--force-stale", self.ok("backup", "prune", "--keep", "1", self.repository).text)
        self.ok("backup", "prune", "--keep", "1", "--force-stale", self.repository, "-q")
        self.assertEqual(os.listdir(intents), [])
        self.ok("restore", self.repository, self.path("back"), "-q")
        self.expect_src(self.path("back"))

    def test_what_cannot_be_done_is_said_in_a_line(self):
        self.fails(3, "backup", "list", self.path("nowhere"), says="nowhere")
        self.fails(2, "backup", says="URL missing")
        self.fails(2, "backup", "prune", says="URL missing")
        self.fails(1, "backup", "prune", self.path("src"), says="--keep")
        self.fails(3, "backup", "list", self.path("src"), says="no backups here")
        self.fails(1, "backup", self.path("src"), says=("holds something else", "empty place"))
        self.fails(1, "backup", "--limit", "fast", self.repository, says="50MiB/s")
        self.fails(1, "backup", "--parallel", "0", self.repository, says="1 to 64")
        self.backup()
        self.fails(1, "restore", self.repository, self.lake, says="holds a store already")
        self.fails(1, "ls", "/", "--lake", self.repository, says="tarn restore URL TARGET")
        self.ok("init", self.path("other"), "-q")
        self.fails(1, "backup", "--lake", self.path("other"), self.repository, says="name another place")
        page = self.ok("backup", "--help").text
        self.assertIn("backup prune", page)
        self.assertIn("--limit RATE", page)


if __name__ == "__main__":
    unittest.main()
