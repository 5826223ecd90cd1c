"""``storage``: how files that are not on this machine's disks are reached: object stores (s3://, gs://) and web servers.

What a user says here changes no number. Nothing secret belongs here: keys come from the environment, from the credentials
files of the provider's own tools, or from the role of the machine.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat

from tsogrid.config.section import Section


def _plain_address(value: str) -> str:
    """Refuse what is no address of a server, and what would put a password into a configuration."""
    try:
        parts = urlsplit(value)
        named, secret = bool(parts.hostname), parts.username is not None or parts.password is not None
    except ValueError:
        named, secret, parts = False, False, urlsplit("")
    if secret:
        raise ValueError("expected an address without a user and a password: keys belong into the environment")
    if parts.scheme not in ("http", "https") or not named:
        raise ValueError(f"expected https://host or http://host:port, found {value!r}")
    return value


class Storage(Section):
    """``storage``: how remote files are reached; it changes no number, and holds nothing secret."""

    anon: bool = False  # no credentials are looked for: public buckets
    endpoint_url: Annotated[str, AfterValidator(_plain_address)] | None = None  # s3://, gs://; None: the provider's own
    profile: str | None = None  # s3://: of the credentials file of the provider's tools
    region: str | None = None  # s3://: of the bucket; None: as the profile or the environment says
    retries: Annotated[int, Field(ge=0, le=100)] = 5  # of a request that failed, with growing waits between
    timeout: PositiveFloat = 30.0  # seconds without a byte after which a request counts as failed
    connections: Annotated[int, Field(ge=1, le=256)] = 32  # requests of one process that are under way at the same time
