"""scripts/s3_server as its users meet it: it starts, keeps what it was given over a crash of its gateway, and goes.

Only the script and curl are used, so that this says whether the ground holds when a test of the backend fails. The
server lives in $TARN_S3_HOME and is deleted; run it with: TARN_S3_HOME=$(mktemp -u) python3 tests/s3/server_test.py
"""
import os
import re
import subprocess
import unittest

from support import assignments, curl, skip_if_off

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/s3_server")
COULD_NOT_CONNECT = 7  # of curl
TIMED_OUT = 28


def script(*args):
    return subprocess.run([SCRIPT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class ServerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.started = script("start")
        if cls.started.returncode:
            raise RuntimeError(cls.started.stderr)
        cls.env = assignments(cls.started.stdout)

    @classmethod
    def tearDownClass(cls):
        script("stop")

    def get(self, key, *args, **more):
        return curl(more.pop("env", self.env), key, *args, **more)

    def put(self, key, text, *args):
        return curl(self.env, key, *args, body=text).status

    def test_start_again_prints_the_same(self):
        self.assertEqual(script("start").stdout, self.started.stdout)
        self.assertEqual(script("env").stdout, self.started.stdout)

    def test_put_and_get(self):
        self.assertEqual(self.put("plain", b"text"), 200)
        self.assertEqual(self.get("plain"), (0, 200, b"text"))
        self.assertEqual(self.get("plain", "-r", "1-2"), (0, 206, b"ex"))
        self.assertEqual(self.get("absent").status, 404)

    def test_put_if_absent_has_one_winner(self):
        self.assertEqual(self.put("once", b"first", "-H", "If-None-Match: *"), 200)
        self.assertEqual(self.put("once", b"second", "-H", "If-None-Match: *"), 412)
        self.assertEqual(self.get("once").body, b"first")

    def test_tls(self):
        self.assertEqual(self.put("tls", b"text"), 200)
        tls = dict(self.env, TARN_S3_ENDPOINT=self.env["TARN_S3_TLS_ENDPOINT"])
        self.assertEqual(self.get("tls", "--cacert", self.env["TARN_S3_CA_FILE"], env=tls), (0, 200, b"text"))
        self.assertNotEqual(self.get("tls", env=tls).exit, 0)  # nobody else vouches for it

    def test_who_may_not(self):
        self.assertEqual(self.put("mine", b"text"), 200)
        wrong = self.get("mine", secret="wrong")
        self.assertEqual((wrong.status, b"SignatureDoesNotMatch" in wrong.body), (403, True), wrong.body)
        other = self.get("mine", who="TARN_S3_OTHER")
        self.assertEqual((other.status, b"AccessDenied" in other.body), (403, True), other.body)

    def test_a_session_is_good_until_it_expires(self):
        self.assertEqual(self.put("s", b"text"), 200)
        session = dict(self.env, **assignments(script("session", "900").stdout))
        self.assertEqual(self.get("s", env=session), (0, 200, b"text"))
        short = dict(self.env, **assignments(script("session", "1").stdout))
        while self.get("s", env=short).status == 200:
            pass
        self.assertEqual(self.get("s", env=short).status, 403)

    def test_the_gateway_dies_hangs_and_comes_back(self):
        self.assertEqual(self.put("kept", b"text"), 200)
        self.assertEqual(script("gateway", "kill").returncode, 0)
        self.assertEqual(self.get("kept").exit, COULD_NOT_CONNECT)
        status = script("status")
        self.assertEqual((status.returncode, "client.rgw is down" in status.stdout), (1, True))
        self.assertEqual(script("gateway", "start").returncode, 0)
        self.assertEqual(self.get("kept"), (0, 200, b"text"))
        self.assertEqual(script("gateway", "pause").returncode, 0)
        self.assertEqual(self.get("kept", "--max-time", "0.3").exit, TIMED_OUT)
        self.assertEqual(script("gateway", "resume").returncode, 0)
        self.assertEqual(self.get("kept"), (0, 200, b"text"))
        self.assertEqual(script("status").returncode, 0)

    def test_errors_are_one_line(self):
        for args in (["nonsense"], ["gateway", "nonsense"], ["session", "soon"]):
            said = script(*args)
            self.assertEqual((said.returncode, said.stdout, said.stderr.count("\n")), (1, "", 1), said.stderr)


class HomeTest(unittest.TestCase):
    def setUp(self):
        script("stop")

    def test_stop_leaves_nothing(self):
        home = os.environ["TARN_S3_HOME"]
        self.assertEqual(script("start").returncode, 0)
        pids = re.findall(r"pid (\d+)", script("status").stdout)
        self.assertEqual(len(pids), 3)
        self.assertEqual(script("stop").returncode, 0)
        self.assertFalse(os.path.exists(home))
        for pid in pids:
            self.assertFalse(runs(pid))
        self.assertEqual(script("stop").returncode, 0)
        self.assertEqual(script("env").returncode, 1)

    def test_a_directory_with_other_things_is_left_alone(self):
        home = os.environ["TARN_S3_HOME"]
        os.makedirs(home)
        precious = os.path.join(home, "precious")
        open(precious, "w", encoding="utf-8").close()
        refused = script("start")
        self.assertEqual((refused.returncode, refused.stderr.count("\n")), (1, 1), refused.stderr)
        self.assertEqual(script("stop").returncode, 0)
        os.remove(precious)
        os.rmdir(home)


def runs(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return os.environ["TARN_S3_HOME"].encode() in f.read()
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    skip_if_off()
    unittest.main()
