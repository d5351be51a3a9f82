"""kv: the bare store. Binary pairs survive the command line, listings and loading."""
import os
import unittest

from support import LakeCase


class Kv(LakeCase):
    make_lake = False

    def kv(self, *args, **more):
        return self.ok("--lake", self.path("store"), "kv", *args, **more)

    def kv_fails(self, code, *args, **more):
        return self.fails(code, "--lake", self.path("store"), "kv", *args, **more)

    def test_put_get_del(self):
        self.kv_fails(3, "get", "a", says="kv put")
        self.kv_fails(3, "del", "a", says="kv put")
        self.assertFalse(os.path.exists(self.path("store")))
        self.kv("put", "a", "1")
        self.kv("put", "b", "")
        self.kv("put", "-q", "--", "-k", "-v")
        self.assertEqual(self.kv("get", "a").out, b"1")
        self.assertEqual(self.kv("get", "b").out, b"")
        self.assertEqual(self.kv("get", "--", "-k").out, b"-v")
        self.kv_fails(3, "get", "c", says=["'c'", "kv scan"])
        self.kv_fails(3, "del", "a", "c", says="nothing was deleted")
        self.assertIn("would delete a", self.kv("del", "--dry-run", "a").text)
        self.kv("del", "a", "b")
        self.assertEqual(self.kv("count").out, b"1\n")

    def test_binary(self):
        self.kv("put", r"\x00\xff\\", r"line\nnext\t\x80")
        self.assertEqual(self.kv("get", r"\000\377\\").out, b"line\nnext\t\x80")
        self.assertEqual(self.kv("scan").out, b"\\000\\377\\\\\tline\\nnext\\t\\200\n")
        pair = self.kv("scan", "--json").json[0]
        self.assertEqual(bytes.fromhex(pair["key_hex"]), b"\x00\xff\\")
        self.kv_fails(1, "put", r"\q", "x", says="escape")

    def test_load_scan_count(self):
        pairs = [(f"k{i:05}", f"v{i}") for i in range(20_000)]
        text = "".join(f"{k}\t{v}\n" for k, v in pairs)
        self.assertIn("loaded 20,000 pairs", self.kv("load", "-", stdin=text.encode()).text)
        self.assertEqual(self.kv("scan").text, text)
        self.assertEqual(self.kv("scan", "--limit", "2").text, "k00000\tv0\nk00001\tv1\n")
        self.assertEqual(self.kv("scan", "--reverse", "--limit", "1").text, "k19999\tv19999\n")
        ten = "".join(f"{k}\t{v}\n" for k, v in pairs[1230:1240])
        self.assertEqual(self.kv("scan", "--prefix", "k0123").text, ten)
        self.assertEqual(self.kv("scan", "--prefix", "k0123", "--reverse", "--limit", "1").text, "k01239\tv1239\n")
        self.assertEqual(self.kv("count", "--prefix", "k1").out, b"10000\n")
        self.assertEqual(self.kv("count", "--json").json["keys"], 20_000)
        self.write("dump.tsv", self.kv("scan").out)
        self.ok("--lake", self.path("copy"), "kv", "load", "-q", "dump.tsv")
        self.assertEqual(self.ok("--lake", self.path("copy"), "kv", "scan").text, text)

    def test_bad_lines_are_named(self):
        self.kv_fails(1, "load", "-", stdin=b"a\t1\nno tab\n", says=["line 2", "tab", "1 pair"])
        self.assertEqual(self.kv("scan").text, "a\t1\n")
        self.kv_fails(1, "load", "-", stdin=b"a\t\\zz\n", says=["line 1", "escape"])
        self.kv_fails(3, "load", "nofile", says="nofile")

    def test_not_on_a_lake(self):
        self.ok("init", "-q")
        self.fails(1, "kv", "put", "a", "b", says="lake")
        self.fails(1, "kv", "scan", says="lake")
        self.write("other/file")
        self.fails(1, "--lake", self.path("other"), "kv", "put", "a", "b", says="not empty")
        self.kv("put", "a", "b")
        self.fails(1, "--lake", self.path("store"), "ls", "/", says=self.path("store"))


if __name__ == "__main__":
    unittest.main()
