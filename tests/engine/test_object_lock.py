"""The lock in a bucket: of two that begin at once, or that find the same stale one, the server lets one through."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.buckets import aws, server  # noqa: F401
from tsogrid.config import Storage
from tsogrid.engine import lock, object_lock
from tsogrid.engine.file_lock import me
from tsogrid.engine.lock import holder, locked
from tsogrid.engine.object_lock import ObjectLock
from tsogrid.engine.place import place_of
from tsogrid.errors import StoreError, TsogridWarning

pytestmark = pytest.mark.slow


@pytest.fixture
def place(server, request):  # noqa: F811
    return place_of(f"s3://night/lock-{request.node.name}.zarr", Storage(endpoint_url=server.url, retries=1))


def put(place, **changes):
    place.filesystem().pipe_file(place.beside("lock").url, json.dumps(me() | changes).encode())


def owner(place):
    return json.loads(place.filesystem().cat_file(place.beside("lock").url))


def test_one_run_at_a_time(place):
    who = f"process {os.getpid()} on {me()['host']}"
    with locked(place):
        assert holder(place) == who
        with pytest.raises(StoreError, match="another run is writing this store") as caught, locked(place):
            pass
        assert who in str(caught.value)
    assert holder(place) is None
    assert not place.filesystem().exists(place.beside("lock").url)


def test_who_ended_has_no_lock(place):
    put(place, pid=2**22 + 1)
    assert holder(place) is None
    with locked(place):
        assert owner(place)["pid"] == os.getpid()


def test_of_another_machine_the_servers_clock_tells(place, monkeypatch):
    put(place, system="elsewhere", host="far")
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert holder(place) == f"process {os.getpid()} on far"
    with pytest.raises(StoreError, match="on far"), locked(place):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(object_lock, "STALE", -1.0)
    with locked(place):
        assert owner(place)["host"] == me()["host"]


def test_of_two_that_find_a_stale_lock_one_wins(place, monkeypatch):
    monkeypatch.setattr(object_lock, "STALE", -1.0)
    put(place, system="elsewhere")
    first, second = ObjectLock(place), ObjectLock(place)
    found = [first._get(), second._get()]
    assert first._put(found[0].mark)
    assert not second._put(found[1].mark)
    assert owner(place)["token"] == first.me["token"]
    first.release()


def test_of_many_that_begin_at_once_one_has_it(place):
    def attempt(each):
        try:
            each.acquire()
            return "has it"
        except StoreError as error:
            return "refused" if "another run" in str(error) else str(error)

    for _ in range(5):
        racers = [ObjectLock(place) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(attempt, racers))
        assert sorted(found) == ["has it", "refused", "refused", "refused"]
        racers[found.index("has it")].release()


def test_a_put_that_was_repeated_over_its_own_work_counts(place):
    mine = ObjectLock(place)
    mine._write()  # the answer was lost, and the client asks again
    assert mine._put(None)
    assert mine.beat() == ""
    mine.release()


def test_who_lost_the_lock_stops(place, monkeypatch):
    from tests.engine.test_lock import _until

    monkeypatch.setattr(lock, "HEARTBEAT", 0.1)
    with locked(place) as held:
        _until(lambda: owner(place)["beat"] > 1)
        held.check()
        put(place, token="another", host="far")
        _until(lambda: held.lost)
        with pytest.raises(StoreError, match="another took the lock over"):
            held.check()
    assert owner(place)["token"] == "another"


@pytest.mark.parametrize("answer", ["silence", "refusal"])
def test_a_server_without_conditions_is_told_of(place, monkeypatch, answer):
    write = ObjectLock._write

    def without(self, **condition):
        if condition and answer == "refusal":
            error = OSError("NotImplemented")
            error.response = {"ResponseMetadata": {"HTTPStatusCode": 501}}
            raise error
        return write(self)

    monkeypatch.setattr(ObjectLock, "_write", without)
    monkeypatch.setattr(object_lock, "SETTLED", 0.0)
    mine = ObjectLock(place)
    with pytest.warns(TsogridWarning, match="knows no conditional PUT"):
        mine.acquire()
    with pytest.raises(StoreError, match="another run is writing"):
        ObjectLock(place).acquire()
    assert mine.beat() == ""
    mine.release()
    assert holder(place) is None
