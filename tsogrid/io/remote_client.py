"""The client that asks for byte ranges: one event loop and one pool of connections a process, retries, plain errors."""

import asyncio
import hashlib
import logging
import random
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from tsogrid.config import Storage
from tsogrid.errors import ConfigError, ForbiddenError, InputError, MissingError, SourceFailingError
from tsogrid.io.byte_ranges import Part, Range, chosen, content_range, header_of, multipart, requests_of, split
from tsogrid.io.remote import Got, Wanted
from tsogrid.io.remote_names import scheme_of, shown
from tsogrid.io.remote_places import Place, place_of

if TYPE_CHECKING:
    import aiohttp

LOG = logging.getLogger("tsogrid.remote")
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before the first retry, and at most
_FORBIDDEN, _MISSING, _PASSING = (401, 403, 407), (404, 410), (408, 425, 429)
_CODE = re.compile(rb"<Code>\s*(\w+)\s*</Code>")


class _PassingError(Exception):
    """What may be better at the next try; with the seconds that the server asks for."""

    def __init__(self, words: str, wait: float = 0.0) -> None:
        super().__init__(words)
        self.wait = wait


class _OneByOneError(Exception):
    """The server does not answer to several ranges at once."""


@dataclass
class _Gathered:
    """What has come of one file."""

    wanted: Wanted
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = -1
    version: int = 0

    def got(self) -> Got:
        content = [b"".join(self.pieces[piece.start] for piece in split(each)) for each in self.wanted.ranges]
        return Got(content, self.size, self.version)


class Client:
    """Fetches byte ranges for one process.

    Parameters
    ----------
    storage : Storage
        How files are reached.
    """

    def __init__(self, storage: Storage) -> None:
        from fsspec.implementations.http import HTTPFileSystem

        self.storage = storage
        self._places: dict[str, Place] = {}
        self._making = Lock()
        self._several: dict[str, bool] = {}  # servers, and whether they answer to several ranges at once
        self._web = HTTPFileSystem(  # it keeps the session, and closes it at the end
            client_kwargs={"trust_env": True}, get_client=self._session, skip_instance_cache=True
        )

    async def _session(self, loop: Any, **settings: Any) -> "aiohttp.ClientSession":
        import aiohttp

        patience = aiohttp.ClientTimeout(total=None, sock_connect=self.storage.timeout, sock_read=self.storage.timeout)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.storage.connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=patience,
            **settings,
        )

    def place(self, path: str) -> Place:
        """Give the place of a file; made once, outside of the event loop, since credentials may be looked up."""
        scheme = str(scheme_of(path))
        with self._making:
            if scheme not in self._places:
                self._places[scheme] = place_of(path, self.storage)
            return self._places[scheme]

    async def fetch(self, wanted: Sequence[Wanted], places: dict[str, Place]) -> list[Got]:
        """Fetch ranges, see `tsogrid.io.remote.fetch`."""
        session = await self._web.set_session()
        gathered = [_Gathered(each) for each in wanted]
        jobs: deque[tuple[_Gathered, Place, list[Range]]] = deque()
        for each in gathered:
            place, server = places[str(scheme_of(each.wanted.path))], _server(each.wanted.path)
            pieces = [piece for whole in each.wanted.ranges for piece in split(whole)]
            if place.several and len(pieces) > 1 and server not in self._several:
                # How a server answers is found out once, before many requests ask it the same.
                self._several[server] = await self._answers_several(session, place, each, pieces[:2])
                pieces = pieces[2:] if self._several[server] else pieces
            together = place.several and self._several.get(server, False)
            jobs.extend((each, place, request) for request in requests_of(pieces, together))

        async def work() -> None:
            while jobs:
                of, place, ranges = jobs.popleft()
                if not await self._answers_several(session, place, of, ranges):
                    self._several[_server(of.wanted.path)] = False
                    jobs.extend((of, place, [each]) for each in ranges)

        tasks = [asyncio.create_task(work()) for _ in range(min(self.storage.connections, len(jobs)))]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return [each.got() for each in gathered]

    async def _answers_several(
        self, session: "aiohttp.ClientSession", place: Place, of: _Gathered, ranges: list[Range]
    ) -> bool:
        """Ask for ranges of a file in one request, again where that may help; False if they must be asked for one by one."""
        import aiohttp

        name, tries = shown(of.wanted.path), self.storage.retries + 1
        for attempt in range(1, tries + 1):
            try:
                await self._ask(session, place, of, ranges)
                return True
            except _OneByOneError:
                return False
            except (aiohttp.InvalidURL, aiohttp.TooManyRedirects, aiohttp.NonHttpUrlClientError) as error:
                raise InputError(f"{name}: cannot be asked for ({type(error).__name__}): check the URL") from None
            except aiohttp.ClientSSLError as error:
                raise SourceFailingError(
                    f"{name}: the server's certificate is not trusted, or TLS fails ({type(error).__name__})"
                ) from None
            except _PassingError as error:
                words, wait = str(error), error.wait
            except TimeoutError:
                words, wait = f"no byte in {self.storage.timeout:g} s", 0.0
            except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
                words, wait = "the connection was cut before the answer was whole", 0.0
            except (aiohttp.ClientError, OSError) as error:
                words, wait = f"no connection ({_os_words(error)})", 0.0
            if attempt < tries:
                wait = max(wait, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))
                LOG.info("%s: %s; asked again in %.1f s (%d of %d)", name, words, wait, attempt, tries - 1)
                await asyncio.sleep(wait)
        raise SourceFailingError(
            f"{name}: the server is failing: {words}, in each of {tries} tries. Try again later; "
            "input.storage.retries and input.storage.timeout say how long it is asked."
        )

    async def _ask(self, session: "aiohttp.ClientSession", place: Place, of: _Gathered, ranges: list[Range]) -> None:
        """Ask once."""
        from yarl import URL

        address = await place.address(of.wanted.path)
        headers = {"Range": header_of(ranges), "Accept-Encoding": "identity"} | address.headers
        async with session.get(URL(address.url, encoded=address.encoded), headers=headers) as response:
            parts = await _parts(response, shown(of.wanted.path), ranges)
            tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        found = [chosen(parts, each) for each in ranges]
        if None in found:
            if len(ranges) > 1:
                raise _OneByOneError
            raise _PassingError(f"expected bytes {header_of(ranges)[6:]}, found others in its answer")
        self._check_version(of, tag, next((part.size for part in parts if part.size is not None), None))
        for each, content in zip(ranges, found, strict=True):
            of.pieces[each.start] = content or b""

    def _check_version(self, of: _Gathered, tag: str, size: int | None) -> None:
        version = int.from_bytes(hashlib.blake2b(f"{tag} {size}".encode(), digest_size=7).digest(), "little") + 1
        if version != (of.version or of.wanted.version or version):
            raise InputError(
                f"{shown(of.wanted.path)}: the file has changed since it was opened (its ETag, date or size is another): "
                "open it again, and begin the measurement anew"
            )
        if size is None:
            raise SourceFailingError(
                f"{shown(of.wanted.path)}: expected the size of the file in the server's answer (Content-Range), found "
                "none. Download the file and measure the copy."
            )
        of.version, of.size = version, size


async def _parts(response: "aiohttp.ClientResponse", name: str, ranges: list[Range]) -> list[Part]:
    """Read what a server answers to a request for ranges; or say what it is."""
    status, last = response.status, max(each.stop for each in ranges)
    if status == 206:
        body, kind = await response.read(), response.headers.get("Content-Type", "")
        try:
            if kind.lower().startswith("multipart/byteranges"):
                return multipart(body, kind)
            start, stop, size = content_range(response.headers.get("Content-Range", ""))
        except ValueError as error:
            raise _PassingError(f"an answer that cannot be read ({error})") from None
        if start is None or stop is None or len(body) != stop - start:
            raise _PassingError("an answer that is cut short")
        return [Part(start, body, size)]
    if status == 200:
        if len(ranges) > 1:
            raise _OneByOneError
        length = response.content_length
        if length is not None and length <= last and ranges[0].start == 0:  # all of a small file: what was asked for
            return [Part(0, await response.read(), length)]
        raise InputError(
            f"{name}: expected a server that sends byte ranges, found one that answers with the whole file (HTTP 200). "
            "Download the file (for example with curl -O) and measure the copy."
        )
    if status == 416:
        size = _size_of(response.headers.get("Content-Range", ""))
        if size is not None:
            return [Part(size, b"", size)] if size else [Part(0, b"", 0)]
    code = _CODE.search(await response.content.read(4096)) if status >= 300 else None
    words = f"HTTP {status}" + (f" {code.group(1).decode()}" if code else "")
    if (region := response.headers.get("x-amz-bucket-region")) and status in (301, 307, 400):
        raise ConfigError(f"{name}: the bucket lies in another region ({words}): say input.storage.region: {region}")
    if status in _MISSING:
        what = "bucket" if code and code.group(1) == b"NoSuchBucket" else "file"
        raise MissingError(f"{name}: no such {what} ({words})")
    if status in _FORBIDDEN:
        raise ForbiddenError(
            f"{name}: forbidden ({words}). Expected a file that this user may read: check the credentials (in the "
            "environment, the provider's credentials file or ~/.netrc), and the name: some stores say the same of a file "
            "that is missing. Public buckets need input.storage.anon: true."
        )
    if status >= 500 or status in _PASSING:
        asked = response.headers.get("Retry-After", "")
        raise _PassingError(words, min(float(asked), LONGEST_WAIT) if asked.isdigit() else 0.0)
    if len(ranges) > 1:
        raise _OneByOneError
    raise InputError(f"{name}: expected bytes of a file, found an answer that is not understood ({words}): check the URL")


def _size_of(text: str) -> int | None:
    try:
        return content_range(text)[2]
    except ValueError:
        return None


def _server(path: str) -> str:
    return path.partition("://")[2].partition("/")[0]


def _os_words(error: BaseException) -> str:
    number = getattr(error, "strerror", None) or getattr(getattr(error, "os_error", None), "strerror", None)
    return str(number or type(error).__name__)
