"""A header as a mapping from keyword to value, each value read from its 80 bytes when it is asked for.

A night has thousands of headers and of each some thirty keywords are wanted: splitting the block and parsing only
those is ten times quicker than a full header object. Cards that are not plain (long strings, HIERARCH, odd numbers)
are left to astropy.
"""

import re
from typing import Any

CARD = 80
_PLAIN = re.compile(
    rb"\s*(?:(?P<logical>[TF])|(?P<integer>[-+]?\d+)|(?P<real>[-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?)"
    rb"|'(?P<text>[^'&]*)')\s*(?:/.*)?$",
    re.DOTALL,
)


class Cards:
    """The cards of one header; `raw` are its bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._images: dict[str, bytes] = {}
        last = ""
        for start in range(0, len(raw), CARD):
            image = raw[start : start + CARD]
            keyword = image[:8].decode("latin-1").rstrip()
            if keyword == "HIERARCH":
                keyword = image[9:].partition(b"=")[0].decode("latin-1").strip()
            elif keyword == "CONTINUE" and last:
                self._images[last] += image
                continue
            elif image[8:9] != b"=":
                last = ""
                continue
            last = "" if keyword in self._images else keyword
            self._images.setdefault(keyword, image)  # the first card of a name counts

    def __contains__(self, keyword: str) -> bool:
        return keyword in self._images

    def __iter__(self) -> Any:
        return iter(self._images)

    def __getitem__(self, keyword: str) -> Any:
        """Give a value.

        Raises
        ------
        KeyError
            There is no such card, or it has no value that can be read.
        """
        found = self.get(keyword)
        if found is None:
            raise KeyError(f"keyword {keyword} not found")
        return found

    def get(self, keyword: str, default: Any = None) -> Any:
        """Give a value; a missing, empty or unreadable card gives the default."""
        image = self._images.get(keyword)
        if image is None:
            return default
        match = _PLAIN.match(image, 9) if len(image) == CARD and image[8:9] == b"=" else None
        if match is None:
            return _odd_value(image, default)
        kind, text = match.lastgroup, match.group(match.lastgroup or 0)
        if kind == "integer":
            return int(text)
        if kind == "real":
            return float(text.upper().replace(b"D", b"E"))
        if kind == "logical":
            return text == b"T"
        return text.decode("latin-1").strip() or default

    def number(self, keyword: str) -> float | int | None:
        """Give a value if it is a number (not a logical), else None."""
        found = self.get(keyword)
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    def text(self, keyword: str) -> str:
        """Give what stands between the equals sign and the comment, as it is written."""
        return self._images.get(keyword, b"")[9:].split(b"/")[0].decode("latin-1").strip()

    def image(self, keyword: str) -> str:
        """Give the card as it is written, 80 characters (more with continuations)."""
        return self._images[keyword].decode("latin-1")


def first_value(headers: Any, *keywords: str) -> Any:
    """Give the value of the first of `keywords` that any of `headers` has, or None."""
    for keyword in keywords:
        for header in headers:
            if (found := header.get(keyword)) is not None:
                return found
    return None


def first_number(headers: Any, *keywords: str) -> float | int | None:
    """Give the first of `keywords` that is a number in any of `headers`, or None."""
    for keyword in keywords:
        for header in headers:
            if (found := header.number(keyword)) is not None:
                return found
    return None


def _odd_value(image: bytes, default: Any) -> Any:
    from astropy.io import fits  # 10 MB, seldom needed

    try:
        found = fits.Card.fromstring(image).value
    except (ValueError, KeyError, fits.VerifyError):
        return default
    if isinstance(found, str):
        return found.strip() or default
    return default if found is None or isinstance(found, fits.card.Undefined) else found
