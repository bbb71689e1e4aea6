"""The same scorer on Ray Data: an actor holds the model, a task is one piece, a part is renamed when it is whole.

A task that is run again, since its worker was killed, leaves a finished part alone, and else writes it; nothing is
appended, so nothing doubles, and what is missing is run again. Inputs, model and output folder must be at the same
paths on every node.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from semisynth.errors import SemisynthError, UsageError
from semisynth.scoring.durable import full_disk_named
from semisynth.scoring.options import Task
from semisynth.scoring.parts import is_finished
from semisynth.scoring.pieces import Piece
from semisynth.scoring.scorer import Scorer, load_scorer, score_pieces

MISSING = "`--engine ray` needs Ray, which is not installed: pip install '.[ray]'"


class RayEngine:
    """Scores pieces on the cluster at `address` (None: this machine), on `workers` actors of one CPU each.

    `workers` None takes all CPUs but one, which Ray needs for its own work: with none free it hangs.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        try:
            import ray.data
        except ImportError as error:
            raise SemisynthError(f"{MISSING} ({error})") from error
        self._ray, self._address, self._workers = ray, address, workers

    def __call__(self, scorer: Scorer, task: Task, pieces: list[Piece], on_rows: Callable[[int], None]) -> None:
        """Score `pieces`; SemisynthError where a worker met bad input, or the cluster fails or is too small."""
        ray = self._ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        own = not ray.is_initialized()
        try:
            if own:
                self._begin()
            self._score(task, pieces, on_rows)
        except (ConnectionError, ray.exceptions.RayError) as error:
            last = (str(error).strip() or type(error).__name__).splitlines()[-1]  # of a traceback
            raise SemisynthError(f"Ray ({self._address or 'on this machine'}): {last}") from error
        finally:
            if own:
                ray.shutdown()

    def _begin(self) -> None:
        """Join the cluster of the address, or start one; UsageError where it is no address.

        SemisynthError where none can be started.
        """
        try:
            self._ray.init(address=self._address or "local", log_to_driver=False, include_dashboard=False)
        except (ValueError, RuntimeError) as error:
            if isinstance(error, self._ray.exceptions.RayError):
                raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            if self._address is None:
                raise SemisynthError(f"Ray (on this machine): {first}") from error
            raise UsageError(f"`--ray-address {self._address}`: {first}") from error

    def _score(self, task: Task, pieces: list[Piece], on_rows: Callable[[int], None]) -> None:
        ray = self._ray
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus < 2:
            raise SemisynthError(
                f"`--engine ray` needs 2 CPUs or more, one of them for Ray itself, received {cpus}"
            )
        workers = min(self._workers or cpus - 1, cpus - 1, len(pieces))
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items(
            [{"piece": json.dumps(asdict(piece))} for piece in pieces], override_num_blocks=len(pieces)
        )
        done = rows.map_batches(
            _PieceScorer,
            fn_constructor_args=(_absolute(task), None if all(map(_is_absolute, pieces)) else str(Path.cwd())),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        for row in done.iter_rows():
            if row["error"]:
                raise SemisynthError(row["error"])
            on_rows(int(row["rows"]))


class _PieceScorer:
    """An actor: loads the model once, by its path, and scores one piece a call.

    Inputs, whose names stand in the output as the user gave them, may be relative to `folder`.
    """

    def __init__(self, task: Task, folder: str | None) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(1)  # as many as the CPUs that it was given
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._task, self._folder = task, folder
        self._scorer: Scorer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score the piece in `batch`; an error that a user can mend comes back as text: retrying won't help."""
        piece = _piece(str(batch["piece"][0]))
        try:
            with full_disk_named(self._task.out):
                self._score(piece)
        except (SemisynthError, OSError) as error:
            return {"rows": [0], "error": [str(error) or type(error).__name__]}
        return {"rows": [piece.rows], "error": [""]}

    def _score(self, piece: Piece) -> None:
        task = self._task
        if is_finished(task.out, piece.index, task.options.format):
            return  # by a worker that was killed before it could say so
        if self._scorer is None:  # here, since Ray would try a constructor that fails again and again
            if self._folder is not None:
                _enter(self._folder)
            self._scorer = load_scorer(task)
        score_pieces(self._scorer, task, [piece], workers=1)


def _absolute(task: Task) -> Task:
    """The task with paths that hold in any working directory."""
    return replace(task, model=task.model.absolute(), out=task.out.absolute())


def _is_absolute(piece: Piece) -> bool:
    return all(Path(name).is_absolute() for name in piece.names or (piece.path,))


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise SemisynthError(
            f"{folder}: expected on every node, since inputs are relative to it, received: {error.strerror}; "
            "give them as absolute paths"
        ) from error


def _piece(text: str) -> Piece:
    values = json.loads(text)
    return Piece(**values | {key: tuple(values[key]) for key in ("groups", "names", "stamps")})
