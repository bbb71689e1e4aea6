"""Which sides a network can make."""

from semisynth.errors import SemisynthError


def quarter(recipe: str, side: int, least: int = 1) -> int:
    """`side` / 4, from which two doublings lead back; SemisynthError unless that is whole and `least` or more."""
    if side % 4 or side // 4 < least:
        floor = f" from {4 * least} on" if least > 1 else ""
        raise SemisynthError(
            f"recipe `{recipe}` makes images with a side that is a multiple of 4{floor}, received {side}"
        )
    return side // 4
