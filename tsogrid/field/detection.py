"""Stars found on a frame (in work)."""

from typing import Any


def detected_sources(frames: Any, settings: Any, listed: Any) -> list[Any]:
    """Nothing yet."""
    return []
