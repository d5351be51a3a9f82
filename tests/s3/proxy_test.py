"""tarn-fault-proxy in front of the real server: signatures pass it, and each fault is what the server makes of it.

The faults themselves are tested in tests/support/fault_proxy_test.cc. The program comes in $TARN_FAULT_PROXY, the
server's environment in the file $TARN_S3_ENVIRONMENT, or is the environment itself.
"""
import os
import signal
import subprocess
import tempfile
import unittest

from support import assignments, curl, skip_if_off

EMPTY_REPLY = 52  # of curl


def server_env():
    if "TARN_S3_ENDPOINT" in os.environ:
        return dict(os.environ)
    with open(os.environ["TARN_S3_ENVIRONMENT"], encoding="utf-8") as f:
        return assignments(f.read())


class ProxyTest(unittest.TestCase):
    def setUp(self):
        self.env = server_env()
        self.proxy = None
        self.key = f"test/proxy_test/{os.getpid()}/{self.id().rpartition('.')[2]}"

    def tearDown(self):
        if self.proxy and self.proxy.poll() is None:
            self.end()

    def start(self, *rules, more=()):
        """The environment of a client behind a proxy with these rules."""
        options = [word for rule in rules for word in ("--rule", rule)]
        self.proxy = subprocess.Popen([os.environ["TARN_FAULT_PROXY"], "--upstream", self.env["TARN_S3_ENDPOINT"],
                                       *options, *more], stdout=subprocess.PIPE, text=True)
        return dict(self.env, TARN_S3_ENDPOINT=self.proxy.stdout.readline().split()[-1])

    def end(self):
        """What it says at its end."""
        self.proxy.send_signal(signal.SIGTERM)
        said = self.proxy.communicate()[0]
        self.assertEqual(self.proxy.returncode, 0)
        return said

    def stored(self):
        return curl(self.env, self.key)

    def test_signed_requests_pass(self):
        env = self.start()
        large = os.urandom(8 << 20)  # curl sends Expect: 100-continue with it
        self.assertEqual(curl(env, self.key, body=large).status, 200)
        self.assertEqual(curl(env, self.key), (0, 200, large))
        self.assertEqual(curl(env, self.key, "-I").status, 200)
        self.assertEqual(curl(env, self.key, "-r", "5-9"), (0, 206, large[5:10]))
        self.assertIn("GET 206: 1 requests, 0 bytes to the server, 5 bytes back", self.end())

    def test_a_lost_answer_leaves_the_object(self):
        env = self.start("lose-answer,method=PUT,times=1")
        self.assertEqual(curl(env, self.key, body=b"text").exit, EMPTY_REPLY)
        self.assertEqual(self.stored().body, b"text")
        self.assertIn("lose-answer,method=PUT,times=1: 1 times", self.end())

    def test_a_cut_request_leaves_nothing(self):
        env = self.start("cut-request,method=PUT")
        self.assertEqual(curl(env, self.key, body=b"text").exit, EMPTY_REPLY)
        self.assertEqual(self.stored().status, 404)

    def test_put_if_absent_twice_is_412_although_it_won(self):
        env = self.start("duplicate,method=PUT")
        self.assertEqual(curl(env, self.key, "-H", "If-None-Match: *", body=b"mine").status, 412)
        self.assertEqual(self.stored().body, b"mine")

    def test_a_late_put_arrives_after_its_503(self):
        env = self.start("late,method=PUT,delay=100")
        answer = curl(env, self.key, body=b"late")
        self.assertEqual((answer.status, b"SlowDown" in answer.body), (503, True))
        while self.stored().status != 200:
            pass
        self.assertEqual(self.stored().body, b"late")

    def test_the_server_refuses_a_corrupted_body(self):
        env = self.start("corrupt-request,method=PUT,bytes=2")
        answer = curl(env, self.key, body=b"text")
        self.assertEqual((answer.status, b"XAmzContentSHA256Mismatch" in answer.body), (400, True), answer.body)
        self.assertEqual(self.stored().status, 404)

    def test_the_log_has_a_line_a_request(self):
        with tempfile.NamedTemporaryFile("r") as log:
            env = self.start("refuse,method=GET,status=500,retry-after=1", more=("--log", log.name))
            self.assertEqual(curl(env, self.key, body=b"text").status, 200)
            self.assertEqual(curl(env, self.key, "-r", "0-1").status, 500)
            self.end()
            path = f"/{self.env['TARN_S3_BUCKET']}/{self.key}"
            lines = [line.split() for line in log]
        self.assertEqual(lines[0][:9], ["1", "PUT", path, "-", "none", "1", "200", "200", "4"])
        self.assertEqual(lines[1][:9], ["2", "GET", path, "bytes=0-1", "refuse", "0", "0", "500", "0"])

    def test_what_is_wrong_with_a_rule_is_one_line(self):
        for rule in ("nonsense", "late,colour=red"):
            command = [os.environ["TARN_FAULT_PROXY"], "--upstream", "http://127.0.0.1:1", "--rule", rule]
            said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual((said.returncode, said.stdout, said.stderr.count("\n")), (1, "", 1), said.stderr)


if __name__ == "__main__":
    skip_if_off()
    unittest.main()
