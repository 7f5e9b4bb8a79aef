"""The errors that mathrl raises on purpose; the command line prints each as one line, exit code 2.

What a model writes never raises: ``grade`` answers with a status instead.
"""


class MathrlError(Exception):
    """Base of every error that mathrl raises on purpose."""


class ConfigError(MathrlError, ValueError):
    """A setting, an option or a name is wrong; the message says what to type instead."""


class DataError(MathrlError, ValueError):
    """A file or a row is wrong; the message names the file, the line and the field."""


class GradingError(MathrlError, RuntimeError):
    """A reward function broke its contract (its own fault, never the completion's)."""


class StorageError(MathrlError, OSError):
    """A result or a checkpoint could not be written; what was there before is intact."""


class EngineError(MathrlError, RuntimeError):
    """An engine does not start, is lost, or samples from other weights than it was given."""


class RankError(MathrlError, RuntimeError):
    """Another process of the same run failed; its message is in this one's."""


class LostRankError(RankError):
    """Another process of the same run is gone, or does not go on."""


class MissingExtraError(MathrlError, ImportError):
    """An optional package is absent; the message holds the command that installs it."""
