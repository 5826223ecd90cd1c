"""Two hosts on one machine: network namespaces joined by a link that can be cut. Needs root and iproute2."""

import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager

import pytest

NEAR, FAR = "10.78.0.1", "10.78.0.2"


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


class Link:
    """The link, and the words that run a command on either side."""

    def __init__(self):
        name = uuid.uuid4().hex[:6]
        self.hosts, self.ends = (f"near-{name}", f"far-{name}"), (f"v{name}a", f"v{name}b")
        for host in self.hosts:
            ip("netns", "add", host)
        ip("link", "add", self.ends[0], "type", "veth", "peer", "name", self.ends[1])
        for host, end, address in zip(self.hosts, self.ends, (NEAR, FAR), strict=True):
            ip("link", "set", end, "netns", host)
            ip("-n", host, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", host, "link", "set", end, "up")

    @property
    def prefixes(self):
        return tuple(("ip", "netns", "exec", host) for host in self.hosts)

    def cut(self):
        ip("-n", self.hosts[1], "link", "set", self.ends[1], "down")

    def mend(self):
        ip("-n", self.hosts[1], "link", "set", self.ends[1], "up")

    def remove(self):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", host], check=False, capture_output=True)


@contextmanager
def two_hosts():
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    try:
        link = Link()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    try:
        yield link
    finally:
        link.remove()
