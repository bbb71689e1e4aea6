"""The one exception that a user is meant to read."""


class SemisynthError(Exception):
    """Bad input or an impossible request, told in one line: what, where, expected, received."""
