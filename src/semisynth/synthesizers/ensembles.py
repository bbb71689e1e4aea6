"""Trains an ensemble: the same recipe from several seeds, whose samples are pooled."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.networks.ensemble import pooled
from semisynth.synthesizers.model import Synthesizer
from semisynth.synthesizers.recipe import Recipe
from semisynth.synthesizers.training import train_synthesizer
from semisynth.training.checkpoint import History


def train_ensemble(
    recipe: Recipe,
    real: NDArray[np.uint8],
    labelled: ImageSet,
    *,
    epochs: int,
    seed: int,
    resume: Path | None = None,
    on_epoch: Callable[[int, Synthesizer], None] | None = None,
    **budget: Any,
) -> tuple[Synthesizer, History]:
    """Train `recipe.ensemble` members as `train_synthesizer` does, one after the other, by seeds from `seed` on.

    Each has the whole budget. Returns them as one, with the generators of all (`networks.ensemble`) and the first
    one's discriminator, and the history of all in a row. `on_epoch` receives the number of the epoch, counted on
    from member to member, and the member as it stands. As in Wang 2016, arXiv 1612.00991, section 3.
    """
    alone = replace(recipe, ensemble=1)
    members, history = list[Synthesizer](), list[dict[str, float]]()
    for number in range(recipe.ensemble):

        def keep_epoch(epoch: int, member: Synthesizer, before: int = number * epochs) -> None:
            if on_epoch:
                on_epoch(before + epoch, member)

        trained, of_member = train_synthesizer(
            alone,
            real,
            labelled,
            epochs=epochs,
            seed=(seed + number) % 2**31,
            resume=resume and resume / f"member_{number}",
            on_epoch=keep_epoch,
            **budget,
        )
        members.append(trained)
        history += of_member
    generator = pooled([member.generator for member in members], recipe.latent)
    return replace(members[0], recipe=recipe, generator=generator), history
