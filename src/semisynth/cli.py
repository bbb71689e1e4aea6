"""The `semisynth` command: what a user runs outside of the pipeline."""

import io
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from semisynth.doctor import Finding, examine
from semisynth.sampling.outputs import OutputFormat as FileFormat
from semisynth.sampling.outputs import PictureName
from semisynth.stages.runner import fail, with_clear_errors

TAKEN_BY: dict[PictureName, set[str]] = {
    "classes": {"--truncation"},
    "interpolation": {"--truncation", "--to-seed"},
    "manifold": set(),
    "style": {"--truncation", "--images", "--row"},
}
QUARANTINED = 3  # exit status: done, but some rows could not be scored

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


class OutputFormat(StrEnum):
    """Of the output parts."""

    PARQUET = "parquet"
    CSV = "csv"


class EngineName(StrEnum):
    """Where the scorer runs."""

    LOCAL = "local"
    RAY = "ray"


@app.callback()
def main_options() -> None:
    """Semi-supervised image classification with synthesized labelled images."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no Unicode


@app.command()
def doctor(folder: Annotated[Path, typer.Option(help="of the project")] = Path()) -> None:
    """Check this project folder and this environment, a line a check; exit status 1 if anything is missing."""
    findings: list[Finding] = examine(folder)
    for finding in findings:
        print(f"{'ok  ' if finding.fine else 'MEND'}  {finding.line}")
    lacking = sum(not finding.fine for finding in findings)
    if lacking:
        fail(f"{lacking} of {len(findings)} checks need mending")


@app.command()
def score(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Parquet, NPZ, IDX, folders of images, or patterns"),
    ],
    model: Annotated[Path, typer.Option(help="detector, as `dvc repro fit_detector` makes it")],
    out: Annotated[Path, typer.Option(help="folder of the output; a job that was cut off goes on there")],
    detector: Annotated[str, typer.Option(help="whose score and p-value")] = "ensemble",
    alpha: Annotated[
        float, typer.Option(min=0, max=1, help="share of normal images that may be called anomalies")
    ] = 0.01,
    output_format: Annotated[OutputFormat, typer.Option("--format")] = OutputFormat.PARQUET,
    image_column: Annotated[str, typer.Option(help="of Parquet: PNG or JPEG bytes, or lists of uint8")] = "image",
    id_column: Annotated[str | None, typer.Option(help="of Parquet; else `id`, else file and row")] = None,
    rows_per_part: Annotated[int, typer.Option(min=1, help="about how many; row groups stay whole")] = 50_000,
    explain: Annotated[int, typer.Option(min=0, max=1000, help="explain so many of the most abnormal images")] = 0,
    every_detector: Annotated[bool, typer.Option(help="add a column with each detector's score")] = False,
    strict: Annotated[bool, typer.Option(help="fail at the first row that can't be scored")] = False,
    engine: Annotated[EngineName, typer.Option(help="this process, or Ray's workers")] = EngineName.LOCAL,
    ray_address: Annotated[str | None, typer.Option(help="of a Ray cluster; else one on this machine")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="of Ray, at most one a part; else CPUs less one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Score images by how abnormal they are: a row each with score, p-value and predicted label.

    Exit status: 0 done, 1 failed, 2 wrong usage, 3 done, but rows that could not be scored are in quarantine,
    130 interrupted.
    """
    if engine is not EngineName.RAY and (ray_address is not None or workers is not None):
        option = "--workers" if ray_address is None else "--ray-address"
        raise typer.BadParameter("needs `--engine ray`", param_hint=option)
    _quieten_tensorflow()
    from semisynth.scoring.job import run_job  # TensorFlow takes seconds to load: not for the other commands
    from semisynth.scoring.options import JobOptions
    from semisynth.scoring.pieces import Columns

    options = JobOptions(
        detector=detector,
        alpha=alpha,
        format=output_format.value,
        columns=Columns(image_column, id_column),
        rows_per_part=rows_per_part,
        strict=strict,
        explain=explain,
        every_detector=every_detector,
    )
    summary: dict[str, Any] = {}

    def work() -> None:
        if engine is EngineName.RAY:
            from semisynth.scoring.distributed import RayEngine

            summary.update(run_job(inputs, model, out, options, RayEngine(ray_address, workers)))
        else:
            summary.update(run_job(inputs, model, out, options))
        print(json.dumps(summary, indent=2) if as_json else _told(summary, alpha), flush=True)

    with_clear_errors(work)
    if summary["quarantined"]:
        raise typer.Exit(QUARANTINED)


def _told(summary: dict[str, Any], alpha: float) -> str:
    """The summary in a few lines."""
    lines = [
        f"{summary['rows']} images scored, {summary['anomalies']} anomalies at a false-alarm rate of {alpha:g}",
        f"{summary['out']}/parts: {summary['parts']} parts; {summary['images_per_second']:.0f} images/s",
    ]
    if summary["quarantined"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary["quarantined"].items())
        lines.append(f"{summary['out']}/quarantine.parquet: {reasons}")
    return "\n".join(lines)


def _larger_than_0(value: float | None) -> float | None:
    """The value of an option; wrong usage where it is 0, less, or NaN."""
    if value is not None and not value > 0:
        raise typer.BadParameter(f"{value:g} is not larger than 0")
    return value


ClassNames = Annotated[
    list[str] | None, typer.Option("--class", metavar="NAME", help="or index; may be repeated; else every class")
]
Truncation = Annotated[
    float | None, typer.Option(callback=_larger_than_0, help="largest size of a latent's components")
]
MOST = 2**31 - 1
Seed = Annotated[int, typer.Option(min=0, max=MOST - 1)]
Force = Annotated[bool, typer.Option("--force", help="replace what stands at `--out`")]


@app.command()
def sample(
    model: Annotated[Path, typer.Option(help="synthesizer, as `dvc repro train_synthesizer` makes it")],
    out: Annotated[Path, typer.Option(help="written: an .npz, a .png, or a folder of images")],
    classes: ClassNames = None,
    count: Annotated[
        int, typer.Option(min=1, max=MOST, help="images of each class; of a recipe without classes, in all")
    ] = 10,
    seed: Seed = 0,
    truncation: Truncation = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="of recipe `lstm`, else as it was trained; 0 draws the likeliest")
    ] = None,
    output_format: Annotated[
        FileFormat | None, typer.Option("--format", help="else by the name of `--out`")
    ] = None,
    force: Force = False,
) -> None:
    """Draw images from a trained synthesizer.

    Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    _quieten_tensorflow()
    from semisynth.sampling.job import write_samples
    from semisynth.sampling.samples import SampleOptions

    options = SampleOptions(tuple(classes or ()), count, seed, truncation, temperature, output_format, force)
    with_clear_errors(lambda: print(f"{out}: {write_samples(model, out, options)} images"))


@app.command()
def latent(
    model: Annotated[Path, typer.Option(help="synthesizer, as `dvc repro train_synthesizer` makes it")],
    out: Annotated[Path, typer.Option(help="written: a .png")],
    picture: Annotated[PictureName, typer.Option(help="what to draw")],
    classes: ClassNames = None,
    columns: Annotated[int | None, typer.Option(min=2, max=20, help="else as many as suit the picture")] = None,
    seed: Seed = 0,
    to_seed: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="of an interpolation's end; else one more")
    ] = None,
    truncation: Truncation = None,
    images: Annotated[Path | None, typer.Option(help="of style: an .npz; at most 100 images")] = None,
    rows: Annotated[
        list[int] | None, typer.Option("--row", min=0, help="of `--images`; may be repeated; else all")
    ] = None,
    force: Force = False,
) -> None:
    """Draw a picture of a trained synthesizer's latent space.

    classes: one latent a column, a class a row. interpolation: from one latent to another. manifold: all of a
    latent of two components. style: what chosen images have in common, added to and taken from each class.

    Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    given = {"--images": images, "--row": rows, "--to-seed": to_seed, "--truncation": truncation}
    _check_picture_takes(picture, {option for option, value in given.items() if value not in (None, [])})
    _quieten_tensorflow()
    from semisynth.sampling.picture_job import PictureOptions, write_picture

    end, only = seed + 1 if to_seed is None else to_seed, tuple(rows or ())
    options = PictureOptions(picture, tuple(classes or ()), columns, seed, end, truncation, images, only, force)
    with_clear_errors(lambda: print(write_picture(model, out, options)))


def _check_picture_takes(picture: PictureName, given: set[str]) -> None:
    """Wrong usage where one of the `given` options is not for this picture, or a style has no images."""
    strange = given - TAKEN_BY[picture]
    if strange:
        raise typer.BadParameter(f"not for `--picture {picture}`", param_hint=min(strange))
    if picture == "style" and "--images" not in given:
        raise typer.BadParameter("needed for `--picture style`", param_hint="--images")


def _quieten_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # of its chatter, errors alone


def main() -> None:
    """Entry point of the `semisynth` command."""
    app()


if __name__ == "__main__":
    main()
