"""A lock in an object of a bucket: made by a PUT that fails where one is, kept by PUTs that fail where another is.

So of two runs that begin at once, or that find the same stale lock, the server lets one through. The heartbeat is the object
written anew; its age is the server's time of the answer less the server's time of the last writing: no other clock counts.
"""

import json
import time
import warnings
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from tsogrid.engine.bucket import Bucket, failures, status_of
from tsogrid.engine.file_lock import STALE, is_gone, me, told
from tsogrid.errors import StoreError, TsogridWarning

SETTLED = 2.0  # seconds after which a lock counts, where a server knows no conditions
REFUSED = {404, 409, 412}  # answers to a PUT whose condition does not hold
UNKNOWN = {400, 405, 501}  # answers of a server that knows no conditions


@dataclass(frozen=True)
class _Found:
    """A lock as the server gives it."""

    owner: dict[str, Any]
    mark: str  # the ETag: what a condition names
    age: float  # seconds since it was written

    @property
    def who(self) -> str:
        return told(self.owner) if {"pid", "host"} <= self.owner.keys() else "an unknown process"

    @property
    def is_stale(self) -> bool:
        gone = is_gone(self.owner) if "pid" in self.owner else None
        return self.age > STALE if gone is None else gone


class ObjectLock:
    """The lock of a store in a bucket.

    Parameters
    ----------
    place : Bucket
        Where the store lies.
    """

    def __init__(self, place: Bucket) -> None:
        self.store, self.me = place, me()
        bucket, _, key = place.beside("lock").url.removeprefix("s3://").partition("/")
        self._object = {"Bucket": bucket, "Key": key}
        self._mark: str | None = None
        self._beats = 0
        self._conditions = True

    def acquire(self) -> bool:
        """Take the lock; whether it was a dead run's.

        Raises
        ------
        StoreError
            Another run has it, or the bucket cannot be written.
        """
        with self.store.told():
            for _ in range(3):
                found = self._get()
                if found is not None and not found.is_stale:
                    raise StoreError(
                        f"{self.store}: another run is writing this store ({found.who}). Wait for it, or stop it, and run "
                        "again."
                    )
                if self._put(found.mark if found else None) and self._is_sure():
                    return found is not None
        raise StoreError(f"{self.store}: another run took the lock at the same moment. Run again.")

    def _is_sure(self) -> bool:
        """Whether the lock counts: the server must know the conditions, else who wrote last has it."""
        if self._conditions and (self._goes_through(IfNoneMatch="*") or self._goes_through(IfMatch='"0"')):
            self._conditions = False
        if not self._conditions:
            warnings.warn(
                f"{self.store}: this object store knows no conditional PUT (If-None-Match, If-Match): two runs that begin "
                "at the same moment are not kept apart for certain. Begin one run at a time.",
                TsogridWarning,
                stacklevel=2,
            )
            time.sleep(SETTLED)
        found = self._get()
        self._mark = found.mark if found else None
        return found is not None and found.owner.get("token") == self.me["token"]

    def _goes_through(self, **condition: str) -> bool:
        """Whether a PUT goes through whose condition does not hold: then conditions are not looked at."""
        try:
            self._write(**condition)
        except failures() as error:
            if status_of(error) not in REFUSED | UNKNOWN:
                raise
            return status_of(error) in UNKNOWN
        return True

    def _put(self, over: str | None) -> bool:
        """Write the lock where nothing is, or over what is known; False where the server has something else."""
        condition = ({"IfMatch": over} if over else {"IfNoneMatch": "*"}) if self._conditions else {}
        try:
            self._mark = self._write(**condition)
        except failures() as error:
            if status_of(error) in UNKNOWN and condition:
                self._conditions = False
                return self._put(over)
            if status_of(error) not in REFUSED or not condition:
                raise
            # An answer may have been lost, and the PUT repeated over its own work.
            found = self._get()
            self._mark = found.mark if found else None
            return found is not None and found.owner.get("token") == self.me["token"]
        return True

    def _write(self, **condition: str) -> str:
        body = json.dumps(self.me | {"beat": self._beats}).encode()
        answer = self.store.filesystem().call_s3("put_object", **self._object, Body=body, **condition)
        return str(answer["ETag"])

    def _get(self) -> _Found | None:
        """Read the lock; None where there is none."""
        from fsspec.asyn import sync

        filesystem = self.store.filesystem()

        async def get() -> tuple[Any, bytes]:
            answer = await filesystem._call_s3("get_object", **self._object)
            async with answer["Body"] as body:
                return answer, await body.read()

        try:
            answer, content = sync(filesystem.loop, get)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(getattr(error.__cause__, "response", "")):
                raise
            return None
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        try:
            owner = json.loads(content)
        except ValueError:
            owner = {}
        return _Found(
            owner if isinstance(owner, dict) else {}, answer["ETag"], (now - answer["LastModified"]).total_seconds()
        )

    def beat(self) -> str:
        """Show that the run lives; who has the lock now, if it is another's, else nothing."""
        self._beats += 1
        if not self._conditions:
            found = self._get()
            if found is None or found.owner.get("token") != self.me["token"]:
                return found.who if found else "it is gone"
        if self._put(self._mark or '"0"'):
            return ""
        found = self._get()
        return found.who if found else "it is gone"

    def release(self) -> None:
        """Give the lock back, if it is still this run's."""
        found = self._get()
        if found is not None and found.owner.get("token") == self.me["token"]:
            self.store.filesystem().call_s3("delete_object", **self._object)

    def holder(self) -> str | None:
        """Say who has the lock; None if nobody lives who has."""
        found = self._get()
        return None if found is None or found.is_stale else found.who
