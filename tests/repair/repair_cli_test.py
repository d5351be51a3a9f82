"""tarn repair, as a person meets it. Run by ctest as repair.cli; by hand: TARN=build/bin/tarn python3 -m unittest."""
import hashlib
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from support import LakeCase, same_tree  # noqa: E402  pylint: disable=wrong-import-position


def files_of(directory):
    """Every file below: name, size, times and content."""
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                found[path] = (os.stat(path).st_mtime_ns, hashlib.sha256(file.read()).hexdigest())
    return found


class RepairCase(LakeCase):
    def setUp(self):
        super().setUp()
        for i in range(30):
            self.write(f"src/sub/file{i}", os.urandom(1000 + 100 * i))
        self.write("src/big", os.urandom(700_000))
        self.ok("import", self.path("src"), "/src", "-q")
        self.ok("snapshot", "create", "monday", "-q")
        self.ok("mkdir", "/later", "-q")

    def tables(self):
        """Of the lake, the largest last."""
        around = self.path("lake", "table")
        return sorted((os.path.join(around, name) for name in os.listdir(around)), key=os.path.getsize)

    def damage(self, path, offset, length=16):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(b"\xee" * length)

    def test_a_whole_lake_comes_out_whole(self):
        before = files_of(self.lake)
        said = self.ok("repair", self.lake, self.path("saved")).text
        self.assertEqual(files_of(self.lake), before)
        self.assertIn("1 snapshot", said)
        self.assertNotIn("lost:", said)
        self.ok("check", "--deep", "--lake", self.path("saved"))
        self.ok("export", "--lake", self.path("saved"), "/src", self.path("out"), "-q")
        same_tree(self, self.path("src"), self.path("out"))
        self.assertIn("later", self.lines("ls", "/", "--lake", self.path("saved")))
        self.assertEqual(self.lines("ls", "/", "--at", "monday", "--lake", self.path("saved")), ["src"])
        self.assertIn("tarn repair", self.ok("log", "--lake", self.path("saved")).text)

    def test_damage_is_listed_and_the_rest_is_saved(self):
        self.damage(self.tables()[-1], 300_000)
        self.fails(5, "check", "--deep", says="tarn repair SOURCE TARGET")
        before = files_of(self.lake)
        answer = self.tarn("repair", self.lake, self.path("saved"))
        self.assertEqual(answer.code, 5, answer.err)
        self.assertEqual(files_of(self.lake), before)
        self.assertRegex(answer.text, r"(?m)^lost: table/[0-9a-f]{16}, offset \d+, \d+ bytes: ")
        self.assertRegex(answer.text, r"(?m)^mended: /src/big: \d+ of 700000 bytes are lost and read as zeros: ")
        self.assertRegex(answer.err.decode(), r"\Atarn repair: [^\n]+saved in [^\n]+check --deep\n\Z")
        self.ok("check", "--deep", "--lake", self.path("saved"))
        for i in range(30):
            with open(self.path(f"src/sub/file{i}"), "rb") as file:
                self.assertEqual(self.ok("cat", f"/src/sub/file{i}", "--lake", self.path("saved")).out, file.read())

    def test_json_without_a_manifest(self):
        for name in os.listdir(self.path("lake", "manifest")):
            os.remove(self.path("lake", "manifest", name))
        self.fails(5, "ls", "/", says="repair")
        answer = self.tarn("repair", "--json", self.lake, self.path("saved"))
        self.assertEqual(answer.code, 5, answer.err)
        self.assertEqual(answer.json["manifest_record"], 0)
        self.assertTrue(answer.json["lake"])
        self.assertGreater(len(answer.json["losses"]), 0)
        self.ok("check", "--deep", "--lake", self.path("saved"))
        self.ok("export", "--lake", self.path("saved"), "/src", self.path("out"), "-q")
        same_tree(self, self.path("src"), self.path("out"))

    def test_a_plain_store(self):
        store = self.path("store")
        for i in range(50):
            self.ok("kv", "put", f"key{i}", f"value{i}", "--lake", store)
        self.ok("repair", store, self.path("saved"))
        self.assertEqual(self.ok("kv", "scan", "--lake", self.path("saved")).out,
                         self.ok("kv", "scan", "--lake", store).out)

    def test_what_is_refused(self):
        self.write("full/file")
        self.fails(2, "repair", self.lake, says="usage: tarn repair SOURCE TARGET")
        self.fails(2, "repair", self.lake, "a", "b", says="too many")
        self.fails(2, "repair", self.lake, "a", "--jason", says="--json")
        self.fails(3, "repair", "nowhere", "saved", says="nowhere")
        self.fails(3, "repair", "src", "saved", says=("src", "no lake and no store"))
        self.fails(1, "repair", self.lake, "full", says=("full", "not empty"))
        self.fails(1, "repair", self.lake, self.lake, says="not empty")
        for inside in ("lake/saved", "lake/table/saved", "lake/./saved"):
            self.fails(1, "repair", self.lake, inside, says="lies in the damaged lake")
        os.symlink(self.lake, self.path("link"))
        self.fails(1, "repair", "lake", "link/saved", says="lies in the damaged lake")
        self.fails(3, "repair", self.lake, "no/such/place", says="make the directory around")
        self.assertFalse(os.path.exists(self.path("saved")))

    def test_a_lake_in_use_and_who_uses_it(self):
        holder = self.start("kv", "load", "-", "--lake", self.path("store"), stdin=subprocess.PIPE)
        holder.stdin.write(b"a\tb\n" * 200_000)  # more than it reads at once: it is at work by now
        holder.stdin.flush()
        self.fails(4, "repair", "store", "saved", says=(f"pid {holder.pid}", "kv load"))
        holder.stdin.close()
        holder.wait()
        self.ok("repair", "store", "saved")

    def test_an_unfinished_repair_is_told_by_its_name(self):
        os.mkdir(self.path("saved.incomplete"))
        line = self.fails(1, "repair", self.lake, "saved", says=("saved.incomplete", "rm -r"))
        subprocess.run(line.rsplit("run again: ", 1)[1], shell=True, check=True)
        os.mkdir(self.path("saved"))  # an empty target is as good as none
        self.ok("repair", "lake/", "saved/")
        self.assertFalse(os.path.exists(self.path("saved.incomplete")))

    @unittest.skipIf(os.getuid() == 0, "root writes everywhere")
    def test_a_source_that_may_only_be_read(self):
        subprocess.run(["chmod", "-R", "a-w", self.lake], check=True)
        self.addCleanup(subprocess.run, ["chmod", "-R", "u+w", self.lake], check=True)
        self.ok("repair", self.lake, "saved")

    def test_help_and_completion(self):
        text = self.ok("repair", "--help").text
        for part in ("SOURCE TARGET", "--json", "only read"):
            self.assertIn(part, text)
        self.assertIn("repair", self.ok("--help").text)
        self.assertIn("repair", self.ok("completion", "bash").text)
        self.fails(2, "repiar", self.lake, "x", says="'repair'")


if __name__ == "__main__":
    unittest.main()
