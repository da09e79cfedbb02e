"""The exceptions that badak adds to Python's own."""

__all__ = ["ChecksumError", "FormatError", "GradientError"]


class FormatError(ValueError):
    """A file's content is not what its format demands.

    The message names the file, what was found and what was expected. A file that cannot be
    opened or read at all raises the operating system's own `OSError` instead.
    """


class ChecksumError(FormatError):
    """A well-formed file whose content does not match its checksum: damaged or replaced."""


class GradientError(AssertionError):
    """A gradient check failed; the message is its report."""
