"""A lake in the bucket of the real server, by the program `tarn`: what goes in comes out.

The program comes in $TARN_PROGRAM, the server's environment in the file $TARN_S3_ENVIRONMENT, or is the environment.
"""
import os
import random
import subprocess
import tempfile
import unittest

from support import assignments, skip_if_off


def server_env():
    if "TARN_S3_ENDPOINT" in os.environ:
        return dict(os.environ)
    with open(os.environ["TARN_S3_ENVIRONMENT"], encoding="utf-8") as f:
        return dict(os.environ, **assignments(f.read()))


class LakeTest(unittest.TestCase):
    def setUp(self):
        self.env = server_env()
        self.env.pop("TARN_LAKE", None)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        name = self.id().rpartition(".")[2]
        self.lake = (f"s3://{self.env['TARN_S3_BUCKET']}/test/lake_test.{name}/{os.getpid()}"
                     f"?endpoint={self.env['TARN_S3_ENDPOINT']}")

    def tarn(self, *args, expect=0):
        done = subprocess.run([os.environ["TARN_PROGRAM"], "--lake", self.lake, *args], env=self.env, text=True,
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

    def test_a_bare_store(self):
        self.tarn("kv", "get", "k", expect=3)
        self.tarn("kv", "put", "k", "v")
        self.assertEqual(self.tarn("kv", "get", "k").stdout.strip(), "v")

    def test_what_a_bucket_cannot_do_is_said_in_a_line(self):
        said = self.tarn("ls", "/", expect=3).stderr
        self.assertRegex(said, r"^tarn ls: no lake at s3://[^\n]*init[^\n]*\n$")
        self.tarn("init")
        said = self.tarn("mount", self.folder.name, expect=1).stderr
        self.assertRegex(said, r"^tarn mount: s3://[^\n]*a bucket has none\n$")
        self.env["AWS_SECRET_ACCESS_KEY"] = "NotTheSecret"
        said = self.tarn("ls", "/", expect=1).stderr
        self.assertEqual(said.count("\n"), 1)
        self.assertIn("$AWS_ACCESS_KEY_ID", said)
        self.assertNotIn("NotTheSecret", said)


if __name__ == "__main__":
    skip_if_off()
    unittest.main()
