"""Train one generative recipe on the labelled and the unlabelled images."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

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
from semisynth.synthesizers.propagation import counts_of
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
UNEVEN, FEW = 3, 5  # times as many images of one class as of another, and as this: hardly taken for even
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
    plan = _Plan.of(section, load_images(labelled), load_images(unlabelled), [labelled, unlabelled])
    labeller = plan.labeller() if _has_labeller(plan.recipe) else None
    inside = labeller if plan.recipe.learns_labels else None  # a part of the recipe, not only beside it
    taught = plan.taught(inside)
    progress = plan.progress(taught, labeller)
    trained, history = plan.train(taught, inside, progress)
    with replacing_folder(synthesizer) as folder:
        trained.named(plan.known.class_names).save(folder)
        if labeller:
            save_propagated(folder, plan.others, labeller.found)
        if labeller and not inside:
            save_companion(folder, labeller.network, side=plan.known.side, classes=plan.known.classes)
    facts = {
        "dataset": plan.known.dataset,
        "recipe": plan.recipe.name,
        "steps": plan.steps,
        "precision": plan.precision,
        "labels_learned_from": len(taught) if plan.recipe.learns_classes else 0,
        **progress.watch.summary(),
        "diversity_seen_in": "features of the labeller" if labeller else "pixels",
        **_likelihood(trained, plan.known),
    }
    _report(results, history, labeller, facts, unit=" (nats)" if plan.recipe.measures_nats else "")
    with replacing_folder(results / "samples") as folder:
        shutil.copytree(progress.grids, folder, dirs_exist_ok=True)
    forget(plan.resume)


@dataclass(frozen=True)
class _Plan:
    """One training: the recipe, its images and budget, and the folder `resume` that outlasts an interruption."""

    section: TrainSynthesizer
    recipe: Recipe | Family
    known: ImageSet
    others: ImageSet
    batch_size: int
    epochs: int
    steps: int
    precision: Precision
    resume: Path

    @classmethod
    def of(cls, section: TrainSynthesizer, known: ImageSet, others: ImageSet, inputs: Sequence[Path]) -> Self:
        """Settle what the section leaves open; SemisynthError where the recipe can't train on such images."""
        recipe = described(section.recipe_source)
        batch_size = section.batch_size or recipe.batch_size
        _check(recipe, known, batch_size)
        epochs, steps = _epochs_and_steps(section, known.pool, batch_size)
        precision = resolve_precision(section.precision)
        resume = resume_folder("train_synthesizer", section.model_dump() | {"on": precision}, inputs)
        return cls(section, recipe, known, others, batch_size, epochs, steps, precision, resume)

    def labeller(self) -> Labelling:
        """Train the network that labels the unlabelled images."""
        labeller = fitted_labeller(self.section, self.known, self.others, self.precision, self.resume / "labeller")
        if self.section.labeller.even_classes:
            _warn_of_uneven([labeller.counts, counts_of(labeller.found)], self.known.class_names)
        return labeller

    def taught(self, inside: Labelling | None) -> ImageSet:
        """What a recipe learns classes from: the labelled images, and those of the others whose label is sure.

        Copies of the labelled ones stand in for these in recipes without a labeller `inside`.
        """
        if inside is None:
            return _with_copies(self.known, self.section.labelled_copies, self.section.seed)
        chosen, labels, _ = select_confident(
            inside.found, threshold=self.section.labeller.confidence, per_class=len(self.others), seed=0
        )
        images = np.concatenate([self.known.images, self.others.images[chosen]])
        return replace(self.known, images=images, labels=np.concatenate([self.known.labels, labels]))

    def progress(self, taught: ImageSet, labeller: Labelling | None) -> "_Progress":
        """What is drawn and watched after every epoch."""
        watch = CollapseWatch(
            taught,
            self.resume / "diversity",
            self.section.seed,
            each=self.epochs,
            eyes=eyes_of(labeller.network) if labeller else flat,
            like=None if self.recipe.conditional else self.others.images,
        )
        return _Progress(
            dataset=self.known.dataset,
            recipe=self.recipe.name,
            class_names=self.known.class_names,
            watch=watch,
            grids=self.resume / "samples",
            seed=self.section.seed,
        )

    def train(self, taught: ImageSet, inside: Labelling | None, progress: "_Progress") -> tuple[Sampler, History]:
        """Train the recipe on all images, and its classes on those `taught`."""
        own = "adversary" if isinstance(self.recipe, Recipe) else self.recipe.name
        return train_any(
            self.recipe,
            np.concatenate([self.known.images, self.others.images]),
            taught,
            inside.network if inside else None,
            steps=self.steps,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.section.seed,
            rate=self.section.learning_rate,
            ema_momentum=self.section.ema_momentum,
            precision=self.precision,
            resume=self.resume / own,
            on_epoch=progress.show,
            of_lstm=self.section.lstm.model_dump(),
            of_vae=self.section.vae.model_dump(),
        )


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


def _warn_of_uneven(every_count: Sequence[NDArray[np.int64]], names: Sequence[str]) -> None:
    """Warn where one of the counts (classes,) is far from even although the labeller took classes for even."""
    for counts in every_count:
        most, least = int(counts.argmax()), int(counts.argmin())
        if counts[most] > UNEVEN * max(counts[least], FEW):
            print(
                f"warning: {counts[most]} unlabelled images are taken for `{names[most]}`, {counts[least]} "
                f"for `{names[least]}`; if classes are so uneven, set "
                "`train_synthesizer.labeller.even_classes: false`",
                file=sys.stderr,
            )
            return


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
    results: Path, history: History, labeller: Labelling | None, facts: Mapping[str, object], *, unit: str
) -> None:
    measured: dict[str, object] = {"last_epoch": history[-1]}
    title = f"{facts['dataset']}, {facts['recipe']}: losses"
    _draw(results, "losses", history, title, unit)
    if labeller:
        measured["labeller"] = labeller.history[-1]
        _draw(results, "labeller", labeller.history, f"{title} of the labeller")
    write_json(results / "metrics.json", {**facts, **measured})


def _draw(results: Path, name: str, history: History, title: str, unit: str = " (nats)") -> None:
    """Write what `fit` reported of each epoch as a table, and its losses as a picture; NaN leaves a gap."""
    rows: list[dict[str, float]] = [
        {"epoch": number} | {key: value for key, value in epoch.items() if not math.isnan(value)}
        for number, epoch in enumerate(history, 1)
    ]
    write_csv(results / f"{name}.csv", ["epoch", *history[0]], rows)
    losses = [key for key in history[0] if key.endswith("loss")]
    curves = {key.replace("_", " "): [epoch[key] for epoch in history] for key in losses}
    epochs = [row["epoch"] for row in rows]
    save_lines(results / f"{name}.png", epochs, curves, xlabel="epoch", ylabel=f"mean loss{unit}", title=title)


if __name__ == "__main__":
    run_stage(train_synthesizer)
