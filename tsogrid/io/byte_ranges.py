"""Byte ranges as HTTP speaks of them (RFC 9110, section 14): which to ask for together, and what an answer holds."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MOST_BYTES = 8 << 20  # of one request: large ones are fetched in pieces, side by side, and a failure costs one piece
MOST_RANGES = 64  # of one request: its header stays below the 4 kB or 8 kB that servers accept
_CONTENT_RANGE = re.compile(r"^\s*bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)\s*$")
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


class Range(NamedTuple):
    """Bytes [start, stop) of a file."""

    start: int
    stop: int


class Part(NamedTuple):
    """Bytes of a file from `start` on, and the size of the whole file where the server tells it."""

    start: int
    content: bytes
    size: int | None


class Merged(NamedTuple):
    """Pieces of one length, put together where they lie close: the ranges, and the one that holds each piece."""

    ranges: list[Range]
    holder: np.ndarray  # (pieces,)


def merge(starts: np.ndarray, length: int, gap: int) -> Merged:
    """Put pieces together that lie close.

    Parameters
    ----------
    starts : array of int64, (pieces,)
        First bytes, ascending.
    length : int
        Bytes of each piece.
    gap : int
        So many bytes between two pieces are fetched along with them.

    Returns
    -------
    Merged
    """
    breaks = np.diff(starts) > length + gap
    first = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    last = np.concatenate((first[1:], [starts.size])) - 1
    ranges = [Range(a, b + length) for a, b in zip(starts[first].tolist(), starts[last].tolist(), strict=True)]
    return Merged(ranges, np.concatenate(([0], np.cumsum(breaks))))


def split(wanted: Range) -> list[Range]:
    """Cut a long range into pieces of one request each."""
    return [Range(start, min(start + MOST_BYTES, wanted.stop)) for start in range(wanted.start, wanted.stop, MOST_BYTES)]


def requests_of(ranges: Sequence[Range], together: bool) -> list[list[Range]]:
    """Share ranges out to requests.

    Parameters
    ----------
    ranges : sequence of Range
        None longer than `MOST_BYTES`.
    together : bool
        Whether one request may ask for several.

    Returns
    -------
    list of list of Range
    """
    if not together:
        return [[each] for each in ranges]
    requests: list[list[Range]] = []
    size = 0
    for each in ranges:
        length = each.stop - each.start
        if not requests or len(requests[-1]) == MOST_RANGES or size + length > MOST_BYTES:
            requests.append([])
            size = 0
        requests[-1].append(each)
        size += length
    return requests


def header_of(ranges: Sequence[Range]) -> str:
    """Write the header ``Range``."""
    return "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in ranges)


def content_range(text: str) -> tuple[int | None, int | None, int | None]:
    """Read the header ``Content-Range``.

    Returns
    -------
    start, stop, size : int or None
        None for what the server does not tell.

    Raises
    ------
    ValueError
        It is not one of bytes.
    """
    match = _CONTENT_RANGE.match(text)
    if match is None:
        raise ValueError(f"Content-Range {text!r}")
    first, last, size = match.groups()
    return (
        None if first is None else int(first),
        None if last is None else int(last) + 1,
        None if size == "*" else int(size),
    )


def multipart(content: bytes, content_type: str) -> list[Part]:
    """Take an answer of the type ``multipart/byteranges`` apart.

    Raises
    ------
    ValueError
        It is cut short, or is not one.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise ValueError("multipart/byteranges without a boundary")
    boundary = b"--" + found.group(1).encode("latin-1")
    parts: list[Part] = []
    at = content.find(boundary)
    while at >= 0:
        at += len(boundary)
        if content.startswith(b"--", at):
            return parts
        end = content.find(b"\r\n\r\n", at)
        if end < 0:
            break
        start, stop, size = _part_range(content[at:end].decode("latin-1"))
        body = content[end + 4 : end + 4 + stop - start]
        if len(body) < stop - start:
            break
        parts.append(Part(start, body, size))
        at = content.find(boundary, end + 4 + stop - start)
    raise ValueError("multipart/byteranges that is cut short")


def _part_range(head: str) -> tuple[int, int, int | None]:
    for line in head.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-range":
            start, stop, size = content_range(value)
            if start is not None and stop is not None:
                return start, stop, size
    raise ValueError("multipart/byteranges with a part without its range")


def chosen(parts: Sequence[Part], wanted: Range) -> bytes | None:
    """Find a range among the parts of an answer; None if none holds it. A part that ends with the file may be shorter."""
    for part in parts:
        if part.start <= wanted.start:
            content = part.content[wanted.start - part.start : wanted.stop - part.start]
            if len(content) == wanted.stop - wanted.start or part.start + len(part.content) == part.size:
                return content
    return None
