"""The `semisynth` command: what a user runs outside of the pipeline."""

from pathlib import Path

import typer

from semisynth.doctor import Finding, examine
from semisynth.stages.runner import fail

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main_options() -> None:
    """Semi-supervised image classification with synthesized labelled images."""


@app.command()
def doctor(folder: Path = Path()) -> None:
    """Say in a line each what this project folder and this environment lack; exit status 1 if anything is."""
    findings: list[Finding] = examine(folder)
    for finding in findings:
        print(f"{'ok  ' if finding.fine else 'MEND'}  {finding.line}")
    lacking = sum(not finding.fine for finding in findings)
    if lacking:
        fail(f"{lacking} of {len(findings)} checks need mending")


def main() -> None:
    """Entry point of the `semisynth` command."""
    app()


if __name__ == "__main__":
    main()
