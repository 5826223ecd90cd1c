"""An object store of our own for tests: moto as a process, and a door before it that can be shut."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SECRET = "a-key-that-nobody-should-read"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Server:
    """moto in a process, with one bucket ``night``; it keeps what it holds in memory."""

    def __init__(self, folder: Path) -> None:
        self.port, self.log = free_port(), folder / "moto.log"
        self.url = f"http://127.0.0.1:{self.port}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log
            )
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.2)
        raise RuntimeError(f"moto did not start: {self.log.read_text()}")

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of every request so far, in the order in which they were answered."""
        found = []
        for line in self.log.read_text().splitlines():
            words = line.split('"')[1].split() if line.count('"') > 1 else []
            if len(words) == 3:
                found.append((words[0].rpartition("m")[2], words[1].partition("?")[0]))
        return found

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def aws():
    """Keys as users have them, in the environment."""
    given = {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="session")
def server(aws, tmp_path_factory):
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    from tsogrid.engine.place import place_of

    running = Server(tmp_path_factory.mktemp("moto"))
    from tsogrid.config import Storage

    place_of("s3://night/x", Storage(endpoint_url=running.url))._call("create_bucket", Bucket="night")
    yield running
    running.stop()


class Door:
    """A way to a server that can be shut: connections are refused, or answered with 503."""

    def __init__(self, port: int) -> None:
        self.to, self.state, self.after = port, "open", -1
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self, state: str, after: int = 0) -> None:
        """Shut it after so many more connections and PUTs."""
        self.state, self.after = state, after

    def open(self) -> None:
        self.state, self.after = "open", -1

    def _is_shut(self) -> bool:
        self.after -= 1
        return self.state != "open" and self.after < 0

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to)) as server:
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()
            while content := client.recv(65536):
                if content[:4] in (b"PUT ", b"GET ", b"POST", b"HEAD") and self._is_shut():
                    if self.state == "503":
                        client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                server.sendall(content)

    @staticmethod
    def _back(server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := server.recv(65536):
                client.sendall(content)

    def close(self) -> None:
        self.listening.close()
