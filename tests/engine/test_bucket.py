"""A store in a bucket: the same verbs, the same values, and nothing lost where nothing can be renamed."""

import re

import pytest
import xarray as xr

import tsogrid
from tests.buckets import SECRET, Door, aws, server  # noqa: F401
from tsogrid.config import Storage
from tsogrid.engine import store
from tsogrid.engine.bucket import Bucket
from tsogrid.engine.lock import locked
from tsogrid.engine.place import Folder, local_path, place_of
from tsogrid.engine.run import Silent, prepared
from tsogrid.engine.status import status
from tsogrid.engine.verification import verified
from tsogrid.errors import IdentityError, RunError, StoreError
from tsogrid.simulate import simulate_exposure

# A store of the first segment alone is a store all the same.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:segment:tsogrid.errors.TsogridWarning")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    truth = simulate_exposure(
        tmp_path_factory.mktemp("frames"), name="s", integrations=12, segments=2, shape=(32, 48), x=20.2, y=15.4,
        amplifiers=1, flux=2e5, bad_pixel_fraction=0, seed=3,
    )  # fmt: skip
    return truth.files


def configured(files, where, url=None, **sections):
    content = {
        "input": {"files": [str(file) for file in files]},
        "sources": [{"name": "target", "x": 20.2, "y": 15.4}],
        "center": {"method": "center-of-mass", "search_box": 11, "fit_box": 9} | sections.pop("center", {}),
        "apertures": [{"radius": [3]}],
        "sky": [{"method": "annulus", "inner": 7, "outer": 12}],
        "output": {"store": str(where), "block": 3, "storage": {"endpoint_url": url, "retries": 1, "timeout": 20}},
        "cluster": {"kind": "none"},
        **sections,
    }
    return tsogrid.Config.from_mapping(content)


@pytest.fixture(scope="module")
def undisturbed(files, tmp_path_factory):
    """The values of a run into a folder: of both segments, and of the first."""
    folder = tmp_path_factory.mktemp("undisturbed")
    both = tsogrid.run(configured(files, folder / "both.zarr")).load()
    return both, tsogrid.run(configured(files[:1], folder / "first.zarr")).load()


def same(result, expected):
    xr.testing.assert_identical(result.load(), expected)
    for name in expected.data_vars:
        assert result[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes(), name


class Heard(Silent):
    def __init__(self):
        self.said, self.frames = [], 0

    def advance(self, frames):
        self.frames += frames

    def say(self, message):
        self.said.append(message)


def test_places_are_told_apart(tmp_path):
    assert place_of(tmp_path) == Folder(tmp_path)
    assert place_of("s3://bucket/a/b.zarr/").url == "s3://bucket/a/b.zarr"
    assert place_of("s3:/bucket/b.zarr").beside("lock").url == "s3://bucket/.b.zarr.lock"
    assert local_path("s3://bucket/a/b.zarr").name == "b.zarr"
    for wrong in ("s3://bucket", "gs://bucket/a", "https://host/a.zarr"):
        with pytest.raises(StoreError, match="expected a path, or s3://"):
            place_of(wrong)


def test_all_that_a_folder_does(server, files, undisturbed):  # noqa: F811
    both, first = undisturbed
    url, where = server.url, "s3://night/all.zarr"
    storage = Storage(endpoint_url=url)
    with pytest.raises(StoreError, match="--resume expects a store"):
        tsogrid.run(configured(files, where, url), mode="resume")
    same(tsogrid.run(configured(files[:1], where, url)), first)
    found = status(where, storage)
    assert (found.state, found.measured, found.failed, found.holder) == ("complete", 6, [], None)
    with pytest.raises(IdentityError, match="input files new"):
        tsogrid.run(configured(files, where, url))
    heard = Heard()
    same(tsogrid.run(configured(files, where, url), mode="extend", progress=heard), both)
    assert heard.frames == 6  # the first segment's two shards were taken over
    with pytest.raises(IdentityError, match=r"config.center.fit_box: 9 in the store, 7 now"):
        tsogrid.run(configured(files, where, url, center={"fit_box": 7}))
    heard = Heard()
    tsogrid.run(configured(files, where, url, plot={"time_reference": 2460000}), mode="resume", progress=heard)
    assert heard.said == [f"{where} is complete: nothing to do."]
    assert tsogrid.open_result(where, storage.model_dump()).attrs["time_reference"] == 2460000
    checked = verified(where, storage)
    assert (checked.marked, checked.damaged) == (4, [])
    place_of(where, storage).delete(["flux/c.2.0.0.0"])
    content = bytearray(place_of(where, storage).read("flux/c.1.0.0.0"))
    content[len(content) // 2] ^= 4
    place_of(where, storage).write("flux/c.1.0.0.0", bytes(content))
    damaged = verified(where, storage).damaged
    assert [line.partition(":")[0] for line in damaged] == ["flux frames 3 … 5", "flux frames 6 … 8"]
    assert damaged[1].endswith("missing")
    heard = Heard()
    mended = tsogrid.run(configured(files, where, url), progress=heard).load()
    assert heard.frames == 6
    mended.attrs.pop("time_reference")
    same(mended, both)
    same(tsogrid.run(configured(files[:1], where, url), mode="overwrite"), first)
    keys = place_of(where, storage).names()
    assert not any(key.startswith("flux/c.2") for key in keys)  # nothing of the old one is left
    names = {path for _, path in server.requests()}
    assert "/night/.all.zarr.lock" in names
    assert not place_of("s3://night/.all.zarr.making", storage).exists()


def test_marks_come_after_chunks_and_roots_last(server, files, undisturbed):  # noqa: F811
    same(tsogrid.run(configured(files, "s3://night/order.zarr", server.url)), undisturbed[0])
    puts = [path.removeprefix("/night/") for method, path in server.requests() if method == "PUT" and "order.zarr" in path]
    for root in (".order.zarr.making/", "order.zarr/"):
        laid_out = [each for each in puts if each.startswith(root) and re.search(r"/zarr\.json$|^\S+/time/c", each)]
        assert laid_out[-1] == f"{root}zarr.json", root
    for shard in range(4):
        mark = puts.index(f"order.zarr/progress/done/c.0.{shard}")
        chunks = [n for n, key in enumerate(puts) if re.fullmatch(rf"order\.zarr/\w+/c\.{shard}(\.0)*", key)]
        assert len(chunks) > 10
        assert max(chunks) < mark


def test_nothing_secret_is_kept(server, files, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    where = place_of("s3://night/secret.zarr", Storage(endpoint_url=server.url))
    tsogrid.run(configured(files[:1], where.url, server.url))
    with locked(where):
        kept = [where.read(key) for key in where.names()]
        kept.append(bytes(where.filesystem().cat_file(where.beside("lock").url)))
    assert not any(SECRET.encode() in each or b"127.0.0.1" in each for each in kept)
    with pytest.raises(Exception, match="without a user and a password"):
        configured(files, "s3://night/a.zarr", f"http://me:{SECRET}@127.0.0.1:1")


class Dead(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("mode", [pytest.param("overwrite", marks=pytest.mark.long), "extend"])
def test_wherever_a_change_of_stores_dies_nothing_is_lost(server, files, undisturbed, monkeypatch, mode):  # noqa: F811
    both, first = undisturbed
    before, after = (files[:1], files) if mode == "extend" else (files, files[:1])
    where = f"s3://night/dies-{mode}.zarr"
    storage = Storage(endpoint_url=server.url, retries=1)
    place = place_of(where, storage)
    calls = {"left": 10**9}

    def counted(method):
        def call(self, *arguments, **options):
            if self.url.endswith(f"dies-{mode}.zarr.making") or self.url == where:
                calls["left"] -= 1
                if calls["left"] < 0:
                    raise Dead
            return method(self, *arguments, **options)

        return call

    for name in ("_put", "delete", "_call"):
        monkeypatch.setattr(Bucket, name, counted(getattr(Bucket, name)))
    _, plan = prepared(configured(before, where, server.url))
    tsogrid.run(configured(before, where, server.url), mode="overwrite")
    kept = {key: place.read(key) for key in place.names()}
    for left in (2, 6, 12):
        place.remove()
        place._put(kept)
        calls["left"] = left
        died = False
        try:
            _change(place, after, where, server.url, mode)
        except Dead:
            died = True
        calls["left"] = 10**9
        place.recover()
        found = store.existing(place)
        assert found is not None
        assert not place.beside("making").exists()
        done = found.n_shards - len(store.pending(found, 0))
        if found.n_frames == plan.n_frames:  # the old one stands, whole
            assert {key: place.read(key) for key in place.names()} == kept
        else:
            assert done == (2 if mode == "extend" else 0)  # with what it took over
        if not died:
            break
    heard = Heard()
    same(tsogrid.run(configured(after, where, server.url), mode=mode, progress=heard), both if mode == "extend" else first)


def _change(place, files, where, url, mode):
    """What a run does before it measures."""
    from tsogrid.engine.extension import extended, extension

    _, plan = prepared(configured(files, where, url))
    plan = plan.with_block(3)
    if mode == "overwrite":
        store.prepare(place, plan)
        return
    extended(store.existing(place), plan, extension(place, plan).frames)


@pytest.mark.parametrize("state", ["refused", pytest.param("503", marks=pytest.mark.long)])
def test_an_endpoint_that_fails_ends_the_run_and_the_same_command_goes_on(server, files, undisturbed, monkeypatch, state):  # noqa: F811
    door, where = Door(server.port), f"s3://night/door-{state}.zarr"
    config = configured(files, where, door.url)
    try:
        door.shut(state, after=160)  # of some 300 requests
        with pytest.raises((RunError, StoreError), match=r"What is marked is safe|object store did not do") as caught:
            tsogrid.run(config)
        assert SECRET not in str(caught.value)
        door.shut(state)
        with pytest.raises(StoreError, match="the object store did not do what was asked in 2 tries"):
            tsogrid.open_result(where, config.output.storage)
        door.open()
        # This process lives, and had no way to give its lock back: that is old after a minute.
        monkeypatch.setattr("tsogrid.engine.object_lock.STALE", -1.0)
        heard = Heard()
        same(tsogrid.run(config, progress=heard), undisturbed[0])
        assert not any("damaged" in line for line in heard.said)
    finally:
        door.close()


def test_what_is_not_there_and_what_is_not_a_store(server, files, tmp_path):  # noqa: F811
    storage = Storage(endpoint_url=server.url, retries=0)
    with pytest.raises(StoreError, match="expected an existing bucket, found none named nowhere"):
        tsogrid.run(configured(files, "s3://nowhere/a.zarr", server.url))
    with pytest.raises(StoreError, match="`tsogrid run` makes one"):
        tsogrid.open_result("s3://night/nothing.zarr", storage)
    place_of("s3://night/thesis.zarr", storage).write("thesis.tex", b"years of work")
    for mode in ("run", "overwrite", "extend"):
        with pytest.raises(StoreError, match="expected a tsogrid store or nothing"):
            tsogrid.run(configured(files, "s3://night/thesis.zarr", server.url), mode=mode)
    assert place_of("s3://night/thesis.zarr", storage).read("thesis.tex") == b"years of work"
