"""The written rule that turns a budget into a number of update steps."""

import math


def update_steps(max_steps: int, max_passes: float, pool: int, batch_size: int) -> int:
    """Update steps: at most `max_steps`, and at most `max_passes` over `pool` images; at least 1.

    From 20 on it is a multiple of 10, so that it can be divided into epochs of equal length. `pool`
    counts all training images of the data set, labelled or not, so that every arm of a run gets the
    same number, and a small data set a small budget.
    """
    steps = max(1, min(max_steps, math.ceil(max_passes * pool / batch_size)))
    return steps if steps < 20 else steps - steps % 10
