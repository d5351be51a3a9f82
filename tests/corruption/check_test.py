"""What a user sees: `tarn check --deep`, and the verbs, on a damaged lake. One line, the file, and the next step."""
import glob
import os
import shutil
import unittest

from support import LakeCase

CORRUPTION = 5  # the exit code


class Check(LakeCase):
    def setUp(self):
        super().setUp()
        self.write("in/small", b"small\n")
        self.write("in/big", os.urandom(300_000))
        self.ok("import", self.path("in"), "/in")
        self.ok("snapshot", "create", "s")
        self.ok("mkdir", "/later")
        self.ok("check", "--deep")
        self.sound = self.path("sound")
        shutil.copytree(self.lake, self.sound)

    def newest(self, kind):
        return sorted(glob.glob(os.path.join(self.lake, kind, "*")))[-1]

    def biggest(self, kind):
        return max(glob.glob(os.path.join(self.lake, kind, "*")), key=os.path.getsize)

    def mend(self):
        shutil.rmtree(self.lake)
        shutil.copytree(self.sound, self.lake)

    def files(self):
        found = {}
        for directory, _, names in os.walk(self.lake):
            for name in set(names) - {"LOCK"}:  # who held it last; no part of the store
                with open(os.path.join(directory, name), "rb") as file:
                    found[os.path.join(directory, name)] = file.read()
        return found

    def flip(self, path, at):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 4]))

    def refused(self, named):
        """The store does not open, says why, and stays as it is, whatever one tries."""
        before = self.files()
        for verb in (["check", "--deep"], ["check"], ["ls", "/"], ["mkdir", "/x"], ["stats"]):
            self.fails(CORRUPTION, *verb, says=[named, "tarn repair"])
        self.assertEqual(self.files(), before)

    def test_a_table(self):
        path = self.biggest("table")
        self.flip(path, os.path.getsize(path) // 2)
        answer = self.tarn("check", "--deep")
        self.assertEqual(answer.code, CORRUPTION)
        self.assertIn("table/" + os.path.basename(path), answer.text)
        self.assertIn("offset", answer.text)
        self.assertIn("tarn repair", answer.text)
        self.assertIn(b"tarn repair", answer.err)

    def test_the_manifest(self):
        path = self.newest("manifest")
        self.flip(path, 30)
        self.refused("manifest/" + os.path.basename(path))
        self.mend()
        shutil.rmtree(os.path.join(self.lake, "manifest"))
        self.refused("manifest")
        self.fails(1, "init", says="already")

    def test_the_log(self):
        path = self.newest("wal")
        self.flip(path, 80)
        self.refused("wal/" + os.path.basename(path))
        self.mend()
        os.truncate(path, os.path.getsize(path) - 40)
        self.refused("wal/" + os.path.basename(path))
        os.remove(path)
        self.refused("wal/" + os.path.basename(path))

    def test_missing_tables(self):
        shutil.rmtree(os.path.join(self.lake, "table"))
        self.refused("table/")


if __name__ == "__main__":
    unittest.main()
