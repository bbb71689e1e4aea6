"""Train one generative recipe on the labelled and the unlabelled images."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisynth.augmentation.classical import transformed_copies
from semisynth.augmentation.selection import select_confident
from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.pixels import flat
from semisynth.files import replacing_folder, write_csv, write_json
from semisynth.params import TrainSynthesizer, load_params
from semisynth.quality.watching import CollapseWatch, eyes_of
from semisynth.reporting.figures import save_grid, save_lines
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.synthesizers.companion import save_companion
from semisynth.synthesizers.families import likelihood_of, train_any
from semisynth.synthesizers.judging import described
from semisynth.synthesizers.labelling import Labelling, Schedule, train_labeller
from semisynth.synthesizers.recipe import Recipe
from semisynth.synthesizers.sampler import Family, Sampler, check_every_class, check_labels
from semisynth.synthesizers.training import check_fits
from semisynth.synthesizers.transduction import save_propagated
from semisynth.training.budget import update_steps
from semisynth.training.checkpoint import History
from semisynth.training.precision import Precision, resolve_precision
from semisynth.training.resume import forget, resume_folder

GRID_COLUMNS = 12
LABELLER_EPOCHS = 12  # half of them on contrast, then three rounds of two
UNEVEN = 3  # times as many images of one class as of another: more are hardly taken for even
_LEARNED_FROM = 2  # tells the random streams of copies that a recipe learns from those of the arms' copies


def train_synthesizer(
    labelled: InputPath,
    unlabelled: InputPath,
    synthesizer: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Train one generative recipe on the labelled and the unlabelled images."""
    section = load_params(params).train_synthesizer
    recipe = described(section.recipe_source)
    known, others = load_images(labelled), load_images(unlabelled)
    batch_size = section.batch_size or recipe.batch_size
    _check(recipe, known, batch_size)
    epochs, steps = _epochs_and_steps(section, known.pool, batch_size)
    precision = resolve_precision(section.precision)
    resume = resume_folder("train_synthesizer", section.model_dump() | {"on": precision}, [labelled, unlabelled])

    labeller = None
    if _has_labeller(recipe):
        labeller = fitted_labeller(section, known, others, precision, resume / "labeller")
        _warn_of_uneven(labeller.found, known.class_names, section.labeller.even_classes)
    inside = labeller if recipe.learns_labels else None  # a part of the recipe, not only beside it
    taught = _taught(known, others, inside, section)
    progress = _Progress(
        dataset=known.dataset,
        recipe=recipe.name,
        class_names=known.class_names,
        watch=CollapseWatch(
            taught,
            resume / "diversity",
            section.seed,
            each=epochs,
            eyes=eyes_of(labeller.network) if labeller else flat,
            like=None if recipe.conditional else others.images,
        ),
        grids=resume / "samples",
        seed=section.seed,
    )
    trained, history = train_any(
        recipe,
        np.concatenate([known.images, others.images]),
        taught,
        inside.network if inside else None,
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        seed=section.seed,
        rate=section.learning_rate,
        ema_momentum=section.ema_momentum,
        precision=precision,
        resume=resume / ("adversary" if isinstance(recipe, Recipe) else recipe.name),
        on_epoch=progress.show,
        of_lstm=section.lstm.model_dump(),
        of_vae=section.vae.model_dump(),
    )
    with replacing_folder(synthesizer) as folder:
        trained.named(known.class_names).save(folder)
        if labeller:
            save_propagated(folder, others, labeller.found)
        if labeller and not inside:
            save_companion(folder, labeller.network, side=known.side, classes=known.classes)
    facts = {
        "dataset": known.dataset,
        "recipe": recipe.name,
        "steps": steps,
        "precision": precision,
        "labels_learned_from": len(taught) if recipe.learns_classes else 0,
        **progress.watch.summary(),
        "diversity_seen_in": "features of the labeller" if labeller else "pixels",
        **_likelihood(trained, known),
    }
    of_labeller = labeller.history if labeller else []
    _report(results, history, of_labeller, facts, unit=" (nats)" if recipe.measures_nats else "")
    with replacing_folder(results / "samples") as folder:
        shutil.copytree(progress.grids, folder, dirs_exist_ok=True)
    forget(resume)


def _has_labeller(recipe: Recipe | Family) -> bool:
    """Whether a labeller is trained: as a part of the recipe, or beside one that draws no classes."""
    return recipe.learns_labels or not recipe.conditional


def _check(recipe: Recipe | Family, known: ImageSet, batch_size: int) -> None:
    """Raise SemisynthError where the recipe can't train on such images, or lacks the labels that it needs."""
    check_fits(recipe, known, batch_size)
    if recipe.learns_classes:
        check_every_class(recipe.name, known)
    if _has_labeller(recipe):
        check_labels(recipe.name, known)


def _epochs_and_steps(section: TrainSynthesizer, pool: int, batch_size: int) -> tuple[int, int]:
    """How many epochs, and how many updates in all: a multiple of theirs, for epochs of equal length."""
    steps = update_steps(section.max_steps, section.max_passes, pool, batch_size)
    epochs = min(section.epochs, steps)
    return epochs, -(-steps // epochs) * epochs


@dataclass(frozen=True)
class _Progress:
    """Draws a grid of samples after every epoch, and warns where their variety collapses."""

    dataset: str
    recipe: str
    class_names: tuple[str, ...]
    watch: CollapseWatch
    grids: Path
    seed: int

    def show(self, number: int, trained: Sampler) -> None:
        """Draw and watch the samples of epoch `number`."""
        title = f"{self.dataset}, {self.recipe}, epoch {number}"
        labels = np.repeat(np.arange(len(self.class_names)), GRID_COLUMNS)
        names = self.class_names if trained.has_classes else None
        path = self.grids / f"epoch_{number:02d}.png"
        save_grid(path, trained.sample(labels, seed=self.seed), GRID_COLUMNS, title=title, row_labels=names)
        samples = trained.sample(self.watch.asked, seed=self.seed)
        classes = trained.classes_shown(samples, self.watch.asked)
        if warning := self.watch.look(number, samples, classes, told=trained.tells_classes):
            print(f"warning: epoch {number} of {self.recipe}: {warning}", file=sys.stderr)


def fitted_labeller(
    section: TrainSynthesizer, known: ImageSet, others: ImageSet, precision: Precision, resume: Path
) -> Labelling:
    """Train the network that labels the unlabelled images: half of its steps on contrast, then three rounds."""
    budget = section.labeller
    steps = update_steps(budget.max_steps, budget.max_passes, known.pool, budget.batch_size)
    part = -(-steps // LABELLER_EPOCHS)
    return train_labeller(
        known,
        others.images,
        Schedule(contrast=6 * part, rounds=3, steps=2 * part, rate=budget.learning_rate),
        epochs=LABELLER_EPOCHS,
        batch_size=budget.batch_size,
        seed=section.seed,
        precision=precision,
        even_classes=budget.even_classes,
        resume=resume,
    )


def _warn_of_uneven(found: NDArray[np.float32], names: Sequence[str], even_classes: bool) -> None:
    """Warn where the classes found (n, classes) are far from even although the labeller took them for it."""
    counts = np.bincount(found.argmax(axis=1), minlength=len(names))
    most, least = int(counts.argmax()), int(counts.argmin())
    if even_classes and counts[most] > UNEVEN * counts[least]:
        print(
            f"warning: {counts[most]} unlabelled images are taken for `{names[most]}`, {counts[least]} for "
            f"`{names[least]}`; if classes are so uneven, set `train_synthesizer.labeller.even_classes: false`",
            file=sys.stderr,
        )


def _taught(known: ImageSet, others: ImageSet, inside: Labelling | None, section: TrainSynthesizer) -> ImageSet:
    """What a recipe learns classes from: the labelled images, and those of `others` whose label is sure.

    Copies of the labelled ones stand in for these in recipes without a labeller `inside`.
    """
    if inside is None:
        return _with_copies(known, section.labelled_copies, section.seed)
    chosen, labels, _ = select_confident(
        inside.found, threshold=section.labeller.confidence, per_class=len(others), seed=0
    )
    images = np.concatenate([known.images, others.images[chosen]])
    return replace(known, images=images, labels=np.concatenate([known.labels, labels]))


def _with_copies(known: ImageSet, wanted: int, seed: int) -> ImageSet:
    """The labelled images and transformed copies of them, `wanted` in all: few images are soon known by heart."""
    if len(known) >= wanted:
        return known
    images, labels = transformed_copies(
        known.images, known.labels, wanted - len(known), seed=seed, stream=_LEARNED_FROM
    )
    return ImageSet(
        images=np.concatenate([known.images, images]),
        labels=np.concatenate([known.labels, labels]),
        class_names=known.class_names,
        dataset=known.dataset,
        pool=known.pool,
    )


def _likelihood(trained: Sampler, known: ImageSet) -> dict[str, object]:
    found = likelihood_of(trained, known)
    return {"of_labelled_images": found} if found else {}


def _report(
    results: Path, history: History, of_labeller: History, facts: Mapping[str, object], *, unit: str
) -> None:
    measured: dict[str, object] = {"last_epoch": history[-1]}
    _draw(results, "losses", history, f"{facts['dataset']}, {facts['recipe']}: losses", unit)
    if of_labeller:
        measured["labeller"] = of_labeller[-1]
        _draw(results, "labeller", of_labeller, f"{facts['dataset']}, {facts['recipe']}: losses of the labeller")
    write_json(results / "metrics.json", {**facts, **measured})


def _draw(results: Path, name: str, history: History, title: str, unit: str = " (nats)") -> None:
    """Write what `fit` reported of each epoch as a table, and its losses as a picture."""
    rows = [{"epoch": number, **epoch} for number, epoch in enumerate(history, 1)]
    write_csv(results / f"{name}.csv", list(rows[0]), rows)
    losses = [key for key in history[0] if key.endswith("loss")]
    curves = {key.replace("_", " "): [epoch[key] for epoch in history] for key in losses}
    epochs = [row["epoch"] for row in rows]
    save_lines(results / f"{name}.png", epochs, curves, xlabel="epoch", ylabel=f"mean loss{unit}", title=title)


if __name__ == "__main__":
    run_stage(train_synthesizer)
