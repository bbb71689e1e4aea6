"""Divide the training images into labelled, unlabelled and validation images."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from semisynth.data.imageset import load_images, write_images
from semisynth.data.splitting import digest_of_indices, split_indices
from semisynth.data.summary import images_per_class
from semisynth.files import replacing_file, write_json
from semisynth.params import load_params
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage


def split(
    raw: InputPath, split: OutputPath, results: OutputPath, params: ParamsPath = Path("params.yaml")
) -> None:
    """Divide the training images into labelled, unlabelled and validation images; test images stay apart."""
    section = load_params(params).split
    train, test = load_images(raw / "train.npz"), load_images(raw / "test.npz")
    parts = split_indices(train.labels, train.class_names, section.labelled, section.validation, section.seed)
    train = replace(train, pool=len(parts.labelled) + len(parts.unlabelled))
    sets = {
        "labelled": train.take(parts.labelled),
        "unlabelled": train.take(parts.unlabelled).with_labels_removed(),
        "validation": train.take(parts.validation),
        "test": replace(test, pool=train.pool),
    }
    with ExitStack() as whole:  # all four are renamed at its end; DVC's .gitignore beside them stays
        for name, data in sets.items():
            write_images(whole.enter_context(replacing_file(split / f"{name}.npz")), data)
    metrics = {
        "dataset": train.dataset,
        "images": {name: len(data) for name, data in sets.items()},
        "labelled_per_class": images_per_class(sets["labelled"]),
        "indices_sha256": {
            "labelled": digest_of_indices(parts.labelled),
            "unlabelled": digest_of_indices(parts.unlabelled),
            "validation": digest_of_indices(parts.validation),
        },
    }
    write_json(results / "metrics.json", metrics)


if __name__ == "__main__":
    run_stage(split)
