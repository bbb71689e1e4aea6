"""The batch job: from inputs to output parts, restartable at any moment, with flat memory."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semisynth.errors import SemisynthError
from semisynth.scoring.durable import full_disk_named
from semisynth.scoring.explain import explained, write_explanations
from semisynth.scoring.folder import (
    EXPLAIN,
    QUARANTINE,
    claim,
    gather_quarantine,
    locked,
    manifest_of,
    pending,
    staging,
    totals,
)
from semisynth.scoring.identity import check_ids
from semisynth.scoring.inputs import survey
from semisynth.scoring.model import digest_of
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.pieces import Piece
from semisynth.scoring.scorer import Scorer, load_scorer, score_pieces
from semisynth.training.progress import Steps
from semisynth.training.side_by_side import share_cores

Engine = Callable[[Scorer, Task, list[Piece], Callable[[int], None]], None]


def run_job(
    named: Sequence[str], model: Path, out: Path, options: JobOptions, engine: Engine = score_pieces
) -> dict[str, Any]:
    """Score everything `named` into `out`, or what an earlier, interrupted job left undone; return the summary.

    Called before TensorFlow computes in this process, it keeps its operations on a core each where cores are few.
    Raises SemisynthError on bad input before anything is scored, on another job's folder, on a bad row where
    `options.strict`, and on a full disk; finished parts stay.
    """
    start = time.monotonic()
    share_cores()
    with locked(out), full_disk_named(out):
        task = Task(model, digest_of(model), out, options)
        scorer = load_scorer(task)
        found = survey(named, options.columns, options.rows_per_part, out)
        check_ids(found.pieces, options.columns)
        claim(out, manifest_of(task.digest, options, found.inputs, len(found.pieces)))
        with staging(task):
            todo = pending(out, found.pieces, options)
            fresh = sum(piece.rows for piece in todo)
            if todo:
                shutil.rmtree(out / EXPLAIN, ignore_errors=True)  # of other rows, where parts are scored again
            _score(scorer, task, todo, engine)
        counts = totals(out, found.pieces, options.explain)
        gather_quarantine(out, found.pieces)
        worst = counts.pop("worst")
        if options.strict and counts["quarantined"]:  # in parts that were finished without --strict
            found_bad = ", ".join(f"{count} {why}" for why, count in counts["quarantined"].items())
            raise SemisynthError(f"{out / QUARANTINE}: rows that can't be scored: {found_bad}")
        if worst and explained(out / EXPLAIN) != len(worst):
            write_explanations(out / EXPLAIN, scorer.model, found.pieces, worst, options.columns)
    seconds = time.monotonic() - start
    return counts | {
        "parts": len(found.pieces),
        "resumed": found.rows - fresh,
        "seconds": round(seconds, 3),
        "images_per_second": round(fresh / seconds, 1),
        "out": str(out),
    }


def _score(scorer: Scorer, task: Task, pieces: list[Piece], engine: Engine) -> None:
    """Let `engine` score the pieces, and show how far it is."""
    total = sum(piece.rows for piece in pieces)
    with Steps("score", total) as steps:
        begun = time.monotonic()

        def on_rows(count: int) -> None:
            rate = (steps.done + count) / max(time.monotonic() - begun, 1e-9)
            steps.advance(count, _note(rate, total - steps.done - count))

        if pieces:
            engine(scorer, task, pieces, on_rows)


def _note(rate: float, left: int) -> str:
    return f"{rate:.0f} images/s  {left / max(rate, 1e-9):.0f} s left"
