#!/usr/bin/python3
"""Runs a command beside OpenStack Swift: the server that the S3 backend must refuse.

Swift speaks S3, and has no put-if-absent: version 2.30, Debian 12's, answers 501 to If-None-Match on PUT, and later
ones accept it and let several writers win.

    tests/s3/swift_server.py COMMAND ...     with TARN_S3_ENDPOINT and so on, as scripts/s3_server sets them

All of Swift's four servers run in one process, on free ports of loopback, in a directory of their own below the
system's for such things. It ends with the command, whose exit status is passed on. It needs Debian's python3-swift,
which is a library: it brings no service with it.
"""
import base64
import email.utils
import hmac
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

ACCESS_KEY, SECRET_KEY = "tarn:admin", "tarn/test+secret00000000000000000000003"
BUCKET = "tarn-test"
KINDS = ("account", "container", "object")
FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "s3api", "tempauth", "slo", "dlo")


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def configure(home, kind, port):
    """The configuration of one server. `user`: the default is an account that only the packages of services make."""
    common = f"bind_ip = 127.0.0.1\nbind_port = {port}\nuser = {os.getuid()}\nswift_dir = {home}\n"
    if kind == "proxy":
        text = f"[DEFAULT]\n{common}[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n"
        text += "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
        settings = {"s3api": "location = us-east-1\n", "tempauth": f"user_tarn_admin = {SECRET_KEY} .admin\n"}
        for name in FILTERS:
            text += f"[filter:{name}]\nuse = egg:swift#{name}\n{settings.get(name, '')}"
    else:
        text = f"[DEFAULT]\n{common}devices = {home}/devices\nmount_check = false\ndisable_fallocate = true\n"
        text += f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
    write(f"{home}/{kind}.conf", text)


class NoCache:
    """A memcached that forgets: Swift's accounts refuse to work without one."""

    def get(self, *_, **__):
        return None

    def set(self, *_, **__):
        pass

    delete = set


def with_cache(app):
    def call(env, start_response):
        env["swift.cache"] = NoCache()
        return app(env, start_response)
    return call


def serve(home, ready, parent):
    """The process of the servers: says its port to `ready`, and goes on until `parent` is closed."""
    import eventlet
    import eventlet.wsgi
    from swift.common import utils, wsgi
    from swift.common.ring import RingBuilder

    write(f"{home}/swift.conf", "[swift-hash]\nswift_hash_path_prefix = tarn\nswift_hash_path_suffix = tarn\n")
    os.makedirs(f"{home}/devices/d")
    utils.set_swift_dir(home)
    utils.eventlet_monkey_patch()
    sockets = {kind: eventlet.listen(("127.0.0.1", 0)) for kind in (*KINDS, "proxy")}
    for kind in KINDS:
        ring = RingBuilder(4, 1, 0)  # 16 partitions, one copy
        ring.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": sockets[kind].getsockname()[1],
                      "device": "d", "weight": 1})
        ring.rebalance()
        ring.get_ring().save(f"{home}/{kind}.ring.gz")
    for kind, socket in sockets.items():
        configure(home, kind, socket.getsockname()[1])
        app = with_cache(wsgi.loadapp(f"{home}/{kind}.conf"))
        eventlet.spawn(eventlet.wsgi.server, socket, app, wsgi.NullLogger(), protocol=wsgi.SwiftHttpProtocol)
    os.write(ready, str(sockets["proxy"].getsockname()[1]).encode())
    os.close(ready)
    eventlet.hubs.trampoline(parent, read=True)


def start(home):
    """Its process, its port (none when it did not start), and what keeps it running while it is open."""
    ready, tell_ready = os.pipe()
    parent, keep = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(keep)
        log = os.open(f"{home}/log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            serve(home, tell_ready, parent)
        finally:
            if sys.exc_info()[1]:
                sys.excepthook(*sys.exc_info())
                sys.stderr.flush()
            os._exit(1)
    os.close(tell_ready)
    os.close(parent)
    with os.fdopen(ready) as f:
        return child, f.read(), keep


def fail(why):
    print("swift_server: " + why, file=sys.stderr)
    return 1


def make_bucket(endpoint):
    """Signed the old way, for that takes four lines; curl cannot say an access key with a colon, as Swift's have."""
    date = email.utils.formatdate()
    signature = hmac.digest(SECRET_KEY.encode(), f"PUT\n\n\n{date}\n/{BUCKET}".encode(), "sha1")
    authorization = f"AWS {ACCESS_KEY}:{base64.b64encode(signature).decode()}"
    headers = {"Date": date, "Authorization": authorization}
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT", headers=headers)).close()


def run(home, command):
    child, port, keep = start(home)
    try:
        if not port:
            with open(f"{home}/log", encoding="utf-8") as f:
                return fail((f.read().strip().split("\n") or [""])[-1] + "; install python3-swift")
        env = dict(os.environ, TARN_S3_SERVER="swift", TARN_S3_ENDPOINT=f"http://127.0.0.1:{port}",
                   TARN_S3_BUCKET=BUCKET, AWS_REGION="us-east-1", AWS_ACCESS_KEY_ID=ACCESS_KEY,
                   AWS_SECRET_ACCESS_KEY=SECRET_KEY)
        make_bucket(env["TARN_S3_ENDPOINT"])
        return subprocess.run(command, env=env).returncode
    finally:
        os.close(keep)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] == ["--help"] else 2
    home = tempfile.mkdtemp(prefix="tarn-swift-")
    try:
        return run(home, sys.argv[1:])
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())
