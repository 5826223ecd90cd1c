"""What a run tells the logger ``tsogrid``: events in words, each with its fields for programs that read logs.

Nothing is written unless somebody listens: `tsogrid run` keeps a file beside the store, a script adds a handler.
"""

import logging
from typing import Any

LOG = logging.getLogger("tsogrid")
LOG.addHandler(logging.NullHandler())  # else Python prints warnings that nobody listens to


def tell(event: str, message: str, level: int = logging.INFO, **fields: Any) -> None:
    """Tell of an event.

    Parameters
    ----------
    event : str
        Its kind: begin, workers, shard, failed, end.
    message : str
        In words.
    level : int
        Of `logging`.
    **fields
        What belongs to it, as JSON can hold it.
    """
    LOG.log(level, message, extra={"event": event, "fields": fields})
