"""Which classes a user asks for, by name or index."""

from collections.abc import Sequence
from difflib import get_close_matches

from semisynth.errors import UsageError
from semisynth.synthesizers.sampler import Sampler

MOST_LISTED = 20  # names in a message
LONGEST = 10  # digits of an index; Python reads no number of thousands


def names_of(synthesizer: Sampler) -> tuple[str, ...]:
    """One name a class: those of the bundle, or the indices where it has none."""
    return synthesizer.class_names or tuple(map(str, range(synthesizer.classes)))


def chosen_classes(synthesizer: Sampler, asked: Sequence[str]) -> list[int]:
    """The indices of the classes `asked` for, by name, else by index, in that order; all where none is.

    A recipe without classes counts as one of class 0. UsageError for a class that does not exist, or is asked for
    twice, and for any where the recipe has none.
    """
    if not synthesizer.has_classes:
        if asked:
            raise UsageError(
                f"`--class {asked[0]}`: recipe `{synthesizer.recipe.name}` has no classes; leave the option out"
            )
        return [0]
    return classes_named(names_of(synthesizer), asked)


def classes_named(names: Sequence[str], asked: Sequence[str]) -> list[int]:
    """The indices in `names` of the classes `asked` for; see `chosen_classes`."""
    chosen = [_index(name, names) for name in asked] or list(range(len(names)))
    twice = next((label for label in chosen if chosen.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"`--class {names[twice]}`: asked for twice, once expected")
    return chosen


def _index(asked: str, names: Sequence[str]) -> int:
    if asked in names:
        return names.index(asked)
    if asked.isdecimal() and len(asked) < LONGEST and int(asked) < len(names):
        return int(asked)
    near = get_close_matches(asked, names, 3)
    known = ", ".join(names[:MOST_LISTED]) + (", …" if len(names) > MOST_LISTED else "")
    hint = f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else f"known classes: {known}"
    raise UsageError(f"`--class {asked}` names no class; {hint}")
