"""What the tests of the program share: a place to work in, the program, and what every answer must look like.

The program comes in $TARN. Run one module with: TARN=build/bin/tarn python3 -m unittest tests/cli/verbs_test.py
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

TARN = os.environ["TARN"]


class Answer:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def text(self):
        return self.out.decode()

    @property
    def json(self):
        return json.loads(self.out)


class LakeCase(unittest.TestCase):
    """A directory of its own, and $TARN_LAKE in it. `self.lake` exists unless make_lake is False."""

    make_lake = True

    def setUp(self):
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="tarn-cli-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.lake = self.path("lake")
        if self.make_lake:
            self.ok("init", "--quiet")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, content=b"content\n"):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def environment(self, **more):
        return {**os.environ, "TARN_LAKE": self.lake, **more}

    def tarn(self, *args, stdin=b"", prefix=(), **more):
        options = {"cwd": self.dir, "env": self.environment(), "timeout": 240, **more}
        done = subprocess.run([*prefix, TARN, *args], input=stdin, capture_output=True, check=False, **options)
        return Answer(done)

    def start(self, *args, **more):
        options = {"cwd": self.dir, "env": self.environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   **more}
        process = subprocess.Popen([TARN, *args], **options)
        self.addCleanup(self._end, process)
        return process

    @staticmethod
    def _end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def ok(self, *args, **more):
        """Runs it; it must succeed and say nothing on the error stream."""
        answer = self.tarn(*args, **more)
        self.assertEqual((answer.code, answer.err), (0, b""), f"tarn {args}")
        return answer

    def fails(self, code, *args, says=(), **more):
        """Runs it; it must exit with `code` and one line on the error stream that holds each of `says`."""
        answer = self.tarn(*args, **more)
        line = answer.err.decode(errors="surrogateescape")
        self.assertEqual(answer.code, code, f"tarn {args}: {line}")
        self.assertRegex(line, r"\Atarn[^\n]*: [^\n]+\n\Z", f"tarn {args}")
        for part in (says,) if isinstance(says, str) else says:
            self.assertIn(part, line)
        return line

    def lines(self, *args, **more):
        return self.ok(*args, **more).text.splitlines()


def same_tree(test, left, right):
    """Types, content, modes, owners, times, links, holes (roughly) and attributes of two local trees are the same."""
    seen_left, seen_right = {}, {}
    for a, b in zip(_walk(left), _walk(right), strict=True):
        test.assertEqual(a[len(os.fsencode(left)):], b[len(os.fsencode(right)):])
        sa, sb = os.lstat(a), os.lstat(b)
        for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_nlink"):
            if field == "st_nlink" and os.path.isdir(a) and not os.path.islink(a):
                continue
            test.assertEqual(getattr(sa, field), getattr(sb, field), (field, a))
        # The same names belong together on both sides.
        test.assertEqual(seen_left.setdefault(sa.st_ino, a)[len(os.fsencode(left)):],
                         seen_right.setdefault(sb.st_ino, b)[len(os.fsencode(right)):])
        if os.path.islink(a):
            test.assertEqual(os.readlink(a), os.readlink(b))
            continue
        if os.path.isfile(a):
            test.assertEqual(sa.st_size, sb.st_size, a)
            if sa.st_size <= 64 << 20:
                with open(a, "rb") as fa, open(b, "rb") as fb:
                    test.assertEqual(fa.read() == fb.read(), True, a)
        if os.path.isfile(a) or os.path.isdir(a):
            test.assertEqual(sorted(os.listxattr(a)), sorted(os.listxattr(b)), a)
            for name in os.listxattr(a):
                test.assertEqual(os.getxattr(a, name), os.getxattr(b, name), (a, name))


def _walk(top):
    top = os.fsencode(top)
    found = [top]
    for directory, directories, files in os.walk(top):
        found += [os.path.join(directory, name) for name in directories + files]
    return sorted(found)
