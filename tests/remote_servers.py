"""Servers for tests of remote files: a real nginx on loopback, an object store, and a web server that fails as it is told.

nginx is installed with apt where it is missing and this is root; else tests that need it are skipped.
"""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

# Each place shows the same files. /later/ fails until there is a file named ready.
CONF = """\
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log; {user}
events {{ worker_connections 512; }}
http {{
  log_format bytes '$status $bytes_sent $uri';
  access_log {work}/access.log bytes; default_type application/octet-stream; keepalive_requests 100000;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3; uwsgi_temp_path {work}/t4;
  scgi_temp_path {work}/t5;
  server {{
    listen 127.0.0.1:{port}; root {root};
    location /noranges/ {{ alias {root}/; max_ranges 0; }}
    location /single/ {{ alias {root}/; max_ranges 1; }}
    location /slow/ {{ alias {root}/; limit_rate 1m; }}
    location /moved/ {{ rewrite ^/moved/(.*) /$1 redirect; }}
    location /forbidden/ {{ return 403; }}
    location /unknown/ {{ return 401; }}
    location /failing/ {{ return 503; }}
    location /later/ {{ if (!-e {root}/ready) {{ return 503; }} alias {root}/; }}
  }}
}}
"""


class Sent(NamedTuple):
    """What a server has sent, headers included."""

    requests: int
    bytes: int


class Web:
    """A running nginx."""

    def __init__(self, url, log):
        self.url, self._log, self._read = url, log, 0

    def sent(self):
        """Say what was sent since this was asked last."""
        time.sleep(0.1)  # the log is written after the answer
        text = self._log.read_text()
        lines, self._read = text[self._read :].splitlines(), len(text)
        return Sent(len(lines), sum(int(line.split()[1]) for line in lines))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _require_nginx():
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    if shutil.which("nginx"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("there is no nginx, and no way to install it")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "nginx-light"]):
        done = subprocess.run(["apt-get", "-qq", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not shutil.which("nginx"):
        pytest.skip(f"nginx could not be installed: {done.stderr[-200:]}")


@contextmanager
def nginx(root: Path, work: Path):
    """Serve the files of a folder."""
    _require_nginx()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx.conf").write_text(CONF.format(root=root, work=work, port=port, user=user))
    server = subprocess.Popen(["nginx", "-e", str(work / "error.log"), "-c", str(work / "nginx.conf")])
    try:
        _wait_for(port)
        yield Web(f"http://127.0.0.1:{port}", work / "access.log")
    finally:
        server.terminate()
        server.wait(60)


def _wait_for(port):
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@contextmanager
def failing(content, faults, ranges=True):
    """Serve one file by single ranges, each request with the next of `faults`; ``None`` is none.

    Faults are a status, ``cut`` (half of the body), ``drop`` (no answer), ``stall`` (nothing for a second), ``another``
    (bytes that were not asked for) and ``changed`` (another ETag).
    """
    remaining = list(faults)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            fault = remaining.pop(0) if remaining else None
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if fault == "drop":
                self.close_connection = True
                return
            if fault == "stall":
                time.sleep(1.0)
            if isinstance(fault, int):
                self.send_response(fault)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, stop = (int(asked[1]), min(int(asked[2]) + 1, len(content))) if asked and ranges else (0, len(content))
            if fault == "another":
                start, stop = start + 1, stop + 1
            body = content[start:stop]
            self.send_response(206 if asked and ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"two"' if fault == "changed" else '"one"')
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
            self.close_connection = fault == "cut"

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # whoever asked has gone
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/one.fits", remaining
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


@contextmanager
def object_store():
    """Run moto's object store; gives its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def fill(url, bucket, contents, public=False):
    """Make a bucket and put objects into it."""
    import s3fs

    acl = {"ACL": "public-read"} if public else {}
    system = s3fs.S3FileSystem(endpoint_url=url, skip_instance_cache=True)
    system.call_s3("create_bucket", Bucket=bucket, **acl)
    for key, content in contents.items():
        system.pipe_file(f"{bucket}/{key}", content, **acl)
