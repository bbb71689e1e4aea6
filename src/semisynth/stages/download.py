"""Get the data set from its mirrors, the bundled digits, or your own files."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from semisynth.data.digits import bundled_digits
from semisynth.data.download import Downloader, NoMirrorError
from semisynth.data.imageset import ImageSet, save_images
from semisynth.data.mirrors import mirrors_of
from semisynth.data.own import load_own, without_repeats
from semisynth.data.sources import SOURCES
from semisynth.data.splitting import stratified_test_split
from semisynth.data.summary import digest_of_array, images_per_class
from semisynth.errors import SemisynthError
from semisynth.files import replacing_folder, write_json
from semisynth.params import Download, load_params
from semisynth.stages.runner import OutputPath, ParamsPath, run_stage
from semisynth.training.progress import track

MIRROR_VARIABLE = "SEMISYNTH_MIRROR"
BRIGHT = 127
LEAST_TEST = 4  # images: anomalies are planted among no fewer
CACHE = Path(".semisynth") / "downloads"
REMEDY = (
    f"To get it, set {MIRROR_VARIABLE} to a URL or a folder that holds {{0}}/train-images-idx3-ubyte.gz and the "
    "three other files, then run `dvc repro --force download` and `dvc repro`."
)


def download(raw: OutputPath, results: OutputPath, params: ParamsPath = Path("params.yaml")) -> None:
    """Get the data set from its mirrors, the bundled digits, or your own files: train.npz and test.npz."""
    section = load_params(params).download
    train, test, origin = _obtain(section)
    if test is None:
        kept, drawn = _test_split(train, section)
        train, test = train.take(kept), train.take(drawn)
    if len(test) < LEAST_TEST:
        raise SemisynthError(f"{test.source}: expected at least {LEAST_TEST} test images, received {len(test)}")
    sets = {name: replace(data, pool=len(train)) for name, data in (("train", train), ("test", test))}
    with replacing_folder(raw) as folder:
        for name, data in sets.items():
            save_images(folder / f"{name}.npz", data)
    summaries = {name: _summary(data) for name, data in sets.items()}
    write_json(
        results / "metrics.json", {"dataset": train.dataset, "origin": origin, "side": train.side, **summaries}
    )


def _test_split(data: ImageSet, section: Download) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        return stratified_test_split(data.labels, data.class_names, section.test_fraction, section.seed)
    except SemisynthError as error:
        raise SemisynthError(f"{data.source}: {error}") from error


def _obtain(section: Download) -> tuple[ImageSet, ImageSet | None, str]:
    """Training images, test images if there are any apart, and where they come from."""
    if section.dataset == "digits":
        return bundled_digits(), None, "bundled"
    if section.dataset == "own":
        if section.path is None:
            raise SemisynthError("`download.path` is null, expected the path of your own data (`dataset: own`)")
        every, test = load_own(_expanded(section.path))
        train = without_repeats(every, test)
        if repeats := len(every) - len(train):
            print(
                f"warning: {train.source}: {repeats} of {len(every)} training images equal another one or a test "
                "image, and are left out: else one could lie on both sides of a split",
                file=sys.stderr,
            )
        if (level := _border_level(train)) > BRIGHT:
            print(
                f"warning: {train.source}: the borders of most images are bright (median {level:.0f} of 255); "
                "a dark background, near 0, is expected, as transforms fill in 0: invert the images",
                file=sys.stderr,
            )
        return train, test, "own"
    try:
        return _fetch(section.dataset, section.timeout, section.attempts)
    except NoMirrorError as error:
        if section.fallback is None:
            raise SemisynthError(f"{error}. {REMEDY.format(section.dataset)}") from error
        _warn(section.dataset, str(error))
        return bundled_digits(), None, "bundled"


def _border_level(data: ImageSet) -> float:
    """The median grey level of the outermost pixels of all images."""
    edges = (data.images[:, 0], data.images[:, -1], data.images[:, 1:-1, 0], data.images[:, 1:-1, -1])
    return float(np.median(np.concatenate([edge.reshape(-1) for edge in edges])))


def _expanded(path: str) -> Path:
    """The path with a home folder in place of `~`, where there is one; else a folder may be named so."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _fetch(dataset: str, timeout: float, attempts: int) -> tuple[ImageSet, ImageSet, str]:
    source = SOURCES[dataset]
    try:
        mirrors = mirrors_of(source, os.environ.get(MIRROR_VARIABLE))
    except SemisynthError as error:
        raise SemisynthError(f"{MIRROR_VARIABLE}: {error}") from error
    fetched = Downloader(timeout, attempts, watch=track).fetch(source, mirrors, CACHE / dataset)
    return fetched.train, fetched.test, fetched.kind


def _warn(dataset: str, reason: str) -> None:
    text = Text(
        f"{reason}\n\nThis run uses scikit-learn's bundled digits instead: 1,797 images of 8 x 8 pixels, resized. "
        f"Its results say nothing about {dataset}.\n\n{REMEDY.format(dataset)} "
        "To fail instead, set `download.fallback: null`."
    )
    title = f"WARNING: {dataset} is not here, the bundled digits take its place"
    Console(stderr=True).print(Panel(text, title=title, border_style="bold red"))


def _summary(data: ImageSet) -> dict[str, object]:
    return {
        "images": len(data),
        "images_per_class": images_per_class(data),
        "images_sha256": digest_of_array(data.images),
        "labels_sha256": digest_of_array(data.labels),
    }


if __name__ == "__main__":
    run_stage(download)
