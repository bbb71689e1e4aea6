"""The one exception that a user is meant to read."""


class SemisynthError(Exception):
    """Bad input or an impossible request, told in one line: what, where, expected, received."""


class UsageError(SemisynthError):
    """An option or argument of a command that can never be right."""
