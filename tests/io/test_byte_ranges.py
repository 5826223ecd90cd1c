"""Byte ranges: nothing that is wanted is left out, nothing is asked for twice, answers are read or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.io.byte_ranges import (
    MOST_BYTES,
    MOST_RANGES,
    Part,
    Range,
    chosen,
    content_range,
    header_of,
    merge,
    multipart,
    requests_of,
    split,
)
from tsogrid.io.remote_names import base_name, is_remote, shown


@given(steps=st.lists(st.integers(0, 5000), min_size=1, max_size=40), length=st.integers(1, 300), gap=st.integers(0, 2000))
def test_merged_ranges_hold_all_pieces_and_no_long_gap(steps, length, gap):
    starts = np.cumsum(np.array(steps) + length)
    merged = merge(starts, length, gap)
    for start, holder in zip(starts, merged.holder, strict=True):
        assert merged.ranges[holder].start <= start
        assert start + length <= merged.ranges[holder].stop
    assert all(b.start - a.stop > gap for a, b in zip(merged.ranges, merged.ranges[1:], strict=False))
    held = sum(stop - start for start, stop in merged.ranges)
    assert held <= starts.size * length + gap * (starts.size - len(merged.ranges))


@given(st.lists(st.integers(1, MOST_BYTES), min_size=1, max_size=300))
def test_requests_hold_every_range_once_within_bounds(lengths):
    stops = np.cumsum(np.array(lengths) + 1).tolist()
    ranges = [Range(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
    together = requests_of(ranges, together=True)
    assert [each for request in together for each in request] == ranges
    assert max(map(len, together)) <= MOST_RANGES
    assert all(sum(stop - start for start, stop in request) <= MOST_BYTES for request in together)
    assert requests_of(ranges, together=False) == [[each] for each in ranges]


def test_long_ranges_are_cut():
    pieces = split(Range(10, 10 + 2 * MOST_BYTES + 5))
    assert [stop - start for start, stop in pieces] == [MOST_BYTES, MOST_BYTES, 5]
    assert header_of(pieces[:2]) == f"bytes=10-{9 + MOST_BYTES},{10 + MOST_BYTES}-{9 + 2 * MOST_BYTES}"


def test_answers_in_parts():
    body = b""
    for start, content in ((5, b"abc"), (20, b"--limit--\r\n\r\n")):  # a boundary's text in the data is data
        head = f"--limit\r\nContent-Type: a/b\r\nContent-Range: bytes {start}-{start + len(content) - 1}/99\r\n\r\n"
        body += b"\r\n" + head.encode() + content
    whole = body + b"\r\n--limit--\r\n"
    kind = 'multipart/byteranges; boundary="limit"'
    assert multipart(whole, kind) == [Part(5, b"abc", 99), Part(20, b"--limit--\r\n\r\n", 99)]
    for wrong in (whole[:-20], body, b"", whole.replace(b"Content-Range", b"Content-Other")):
        with pytest.raises(ValueError, match="multipart"):
            multipart(wrong, kind)
    with pytest.raises(ValueError, match="boundary"):
        multipart(whole, "multipart/byteranges")


def test_headers_of_ranges():
    assert content_range("bytes 3-9/20") == (3, 10, 20)
    assert content_range("bytes */20") == (None, None, 20)
    assert content_range("bytes 3-9/*") == (3, 10, None)
    for wrong in ("", "items 1-2/3", "bytes 3/9"):
        with pytest.raises(ValueError, match="Content-Range"):
            content_range(wrong)


def test_a_range_is_found_among_parts():
    parts = [Part(0, b"abcdef", 30), Part(24, b"uvwxyz", 30)]
    assert chosen(parts, Range(2, 4)) == b"cd"
    assert chosen(parts, Range(26, 40)) == b"wxyz"  # the file ends there
    assert chosen(parts, Range(4, 8)) is None
    assert chosen(parts, Range(10, 12)) is None


def test_names_of_urls():
    assert base_name("/data/night 1/a.fits") == "a.fits"
    assert base_name("s3://bucket/night/a#1.fits") == "a#1.fits"
    assert base_name("https://host/night/a%20b.fits?signature=xyz") == "a b.fits"
    assert base_name("https://host/api/file?uri=mast:JWST/product/jw1_calints.fits") == "jw1_calints.fits"
    assert base_name("https://user:word@host/") == "host"
    assert not is_remote("/data/a.fits")
    assert is_remote("S3://bucket/a.fits")


def test_what_is_shown_of_a_url_holds_no_secret():
    assert shown("https://user:word@host:8000/a.fits?X-Amz-Signature=12&b=") == "https://host:8000/a.fits?…"
    assert shown("https://host/file?uri=mast:JWST/a_calints.fits") == "https://host/file?uri=mast:JWST/a_calints.fits"
    assert shown("https://host/file?uri=a.fits&token=1") == "https://host/file?uri=a.fits&…"
    assert shown("s3://bucket/a?b.fits") == "s3://bucket/a?b.fits"
    assert shown("/data/a?b.fits") == "/data/a?b.fits"
