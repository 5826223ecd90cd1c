"""The exceptions: each says what was expected, what was found and what to do.

The command line prints the message of a `TsogridError` alone and leaves with its ``exit_status``; anything else is a defect
of the program and keeps its traceback.
"""


class TsogridError(Exception):
    """The root of all errors that a user can mend."""

    exit_status = 1


class InputError(TsogridError, ValueError):
    """The frames cannot be read or do not belong together."""


class MissingError(InputError):
    """A remote file, or its bucket, is not there."""


class ForbiddenError(InputError):
    """A remote file may not be read by this user."""


class SourceFailingError(InputError):
    """A server did not give what it has, however often it was asked."""


class ConfigError(TsogridError, ValueError):
    """The configuration is not valid."""

    exit_status = 2


class StoreError(TsogridError, OSError):
    """The result's store cannot be made, read, written or continued."""


class IdentityError(StoreError):
    """The store holds a run of another configuration or of other frames."""


class WritingError(StoreError):
    """A shard could not be written: no room, or a server that does not answer; the next ones will hardly fare better."""


class RunError(TsogridError, RuntimeError):
    """A run ended with some of its blocks not measured."""


class TsogridWarning(UserWarning):
    """Something in the input that the user should know of; the run goes on."""
