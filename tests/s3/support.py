"""What the Python tests of tests/s3 share: the assignments of scripts/s3_server, and S3 by curl."""
import collections
import hashlib
import os
import re
import subprocess
import sys

Answer = collections.namedtuple("Answer", "exit status body")  # of curl, of HTTP (0: none), bytes


def assignments(text):
    """What `eval` would set. The values need no quotes, and that is part of the promise."""
    found = dict(re.findall(r"^export (\w+)=([\w/+=:.@-]*)$", text, re.M))
    if len(found) != len(text.splitlines()):
        raise ValueError(text)
    return found


def skip_if_off():
    if os.environ.get("TARN_S3_TESTS") == "off":
        print("TARN_S3_TESTS=off: no S3 server is started")
        sys.exit(77)


def curl(env, key, *args, who="AWS", secret=None, body=None):
    """One request, signed for `who`; with a body it is a PUT, and its hash is signed too."""
    user = env[who + "_ACCESS_KEY_ID"] + ":" + (secret or env[who + "_SECRET_ACCESS_KEY"])
    command = ["curl", "-sS", "--noproxy", "*", "--aws-sigv4", f"aws:amz:{env['AWS_REGION']}:s3", "-u", user,
               "-w", "\n%{http_code}", "-H", "x-amz-content-sha256: " + hashlib.sha256(body or b"").hexdigest()]
    if "AWS_SESSION_TOKEN" in env:
        command += ["-H", "x-amz-security-token: " + env["AWS_SESSION_TOKEN"]]
    if body is not None:
        # Without a type of its own curl names that of a form, and Ceph 20 then reads the body as one.
        command += ["-X", "PUT", "-H", "content-type: text/plain", "--data-binary", "@-"]
    command += [*args, f"{env['TARN_S3_ENDPOINT']}/{env['TARN_S3_BUCKET']}/{key}"]
    done = subprocess.run(command, input=body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    content, _, status = done.stdout.rpartition(b"\n")
    return Answer(done.returncode, int(status), content)
