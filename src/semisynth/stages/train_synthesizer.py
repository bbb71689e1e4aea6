"""Train one generative recipe on the labelled and the unlabelled images."""

import shutil
from pathlib import Path

import numpy as np

from semisynth.augmentation.classical import transformed_copies
from semisynth.data.imageset import ImageSet, load_images
from semisynth.files import replacing_folder, write_csv, write_json
from semisynth.params import load_params
from semisynth.reporting.figures import save_grid, save_lines
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.synthesizers.model import Synthesizer
from semisynth.synthesizers.recipes import recipe_by_name
from semisynth.synthesizers.training import train_synthesizer as train
from semisynth.training.budget import update_steps
from semisynth.training.checkpoint import History
from semisynth.training.precision import resolve_precision
from semisynth.training.resume import forget, resume_folder

GRID_COLUMNS = 12


def train_synthesizer(
    labelled: InputPath,
    unlabelled: InputPath,
    synthesizer: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Train one generative recipe on the labelled and the unlabelled images."""
    section = load_params(params).train_synthesizer
    recipe = recipe_by_name(section.recipe)
    known, others = load_images(labelled), load_images(unlabelled)
    steps = update_steps(section.max_steps, section.max_passes, known.pool, section.batch_size)
    epochs = min(section.epochs, steps)
    steps = -(-steps // epochs) * epochs  # epochs of equal length
    precision = resolve_precision(section.precision)
    resume = resume_folder("train_synthesizer", section.model_dump() | {"on": precision}, [labelled, unlabelled])
    grids = resume / "samples"

    def draw_grid(number: int, trained: Synthesizer) -> None:
        labels = np.repeat(np.arange(known.classes), GRID_COLUMNS)
        names = known.class_names if trained.has_classes else None
        title = f"{known.dataset}, {recipe.name}, epoch {number}"
        path = grids / f"epoch_{number:02d}.png"
        save_grid(path, trained.sample(labels, seed=section.seed), GRID_COLUMNS, title=title, row_labels=names)

    trained, history = train(
        recipe,
        np.concatenate([known.images, others.images]),
        _with_copies(known, section.labelled_copies, section.seed),
        steps=steps,
        epochs=epochs,
        batch_size=section.batch_size,
        seed=section.seed,
        rate=section.learning_rate,
        ema_momentum=section.ema_momentum,
        precision=precision,
        resume=resume,
        on_epoch=draw_grid,
    )
    trained.save(synthesizer)
    _report(
        results, history, {"dataset": known.dataset, "recipe": recipe.name, "steps": steps, "precision": precision}
    )
    with replacing_folder(results / "samples") as folder:
        shutil.copytree(grids, folder, dirs_exist_ok=True)
    forget(resume)


def _with_copies(known: ImageSet, wanted: int, seed: int) -> ImageSet:
    """The labelled images and transformed copies of them, `wanted` in all: few images are soon known by heart."""
    if len(known) >= wanted:
        return known
    images, labels = transformed_copies(known.images, known.labels, wanted - len(known), seed=seed)
    return ImageSet(
        images=np.concatenate([known.images, images]),
        labels=np.concatenate([known.labels, labels]),
        class_names=known.class_names,
        dataset=known.dataset,
        pool=known.pool,
    )


def _report(results: Path, history: History, facts: dict[str, str | int]) -> None:
    rows = [{"epoch": number, **epoch} for number, epoch in enumerate(history, 1)]
    write_csv(results / "losses.csv", list(rows[0]), rows)
    write_json(results / "metrics.json", facts | {"last_epoch": history[-1]})
    epochs = [row["epoch"] for row in rows]
    names = [name for name in history[0] if name.endswith("loss")]
    curves = {name.replace("_", " "): [epoch[name] for epoch in history] for name in names}
    title = f"{facts['dataset']}, {facts['recipe']}: losses"
    save_lines(results / "losses.png", epochs, curves, xlabel="epoch", ylabel="mean loss (nats)", title=title)


if __name__ == "__main__":
    run_stage(train_synthesizer)
