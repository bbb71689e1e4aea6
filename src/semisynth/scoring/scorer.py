"""Images in, rows of the output out: one pass of the network, then products of matrices."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semisynth.anomaly.conformal import least_alpha
from semisynth.anomaly.judged import Judged
from semisynth.errors import SemisynthError, UsageError
from semisynth.scoring.decoding import decode
from semisynth.scoring.inputs import Reader
from semisynth.scoring.model import BATCH_SIZE, DetectorModel, digest_of, load_detector
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.overlap import Item, ahead, mapped
from semisynth.scoring.parts import PartWriter, place
from semisynth.scoring.pieces import Decoded, Piece, Raw
from semisynth.training.side_by_side import at_once


class Scorer:
    """A model with the options that decide a row; SemisynthError where the model can't serve them."""

    def __init__(self, model: DetectorModel, options: JobOptions) -> None:
        self.model, self.options = model, options
        self._names = model.suite.names if options.every_detector else (options.detector,)
        self._realness = model.suite.reads_realness([options.detector, *self._names])
        least = least_alpha(len(model.suite.calibration[options.detector]))
        if not options.alpha >= least:  # true for NaN as well
            raise UsageError(
                f"alpha {options.alpha:g} is too small for {len(model.suite.calibration[options.detector])} "
                f"calibration images, expected {math.ceil(least * 1e6) / 1e6:g} or more"
            )

    @property
    def schema(self) -> pa.Schema:
        """The columns of the output."""
        fields = [
            ("id", pa.string()),
            ("score", pa.float64()),
            ("p_value", pa.float64()),
            ("is_anomaly", pa.bool_()),
            ("predicted_label", pa.string()),
            ("confidence", pa.float32()),
        ]
        if self.options.every_detector:
            fields += [(f"score_{name}", pa.float64()) for name in self._names]
        return pa.schema(fields)

    def judge(self, images: NDArray[np.uint8]) -> Judged | None:
        """What the network says of images uint8 (n, side, side), as `score` reads it; None without images."""
        return self.model.judge(images, realness=self._realness) if len(images) else None

    def score(self, ids: Sequence[str], judged: Judged | None) -> pa.Table:
        """One row an image. Without classes, label and confidence are null."""
        if judged is None:
            return self.schema.empty_table()
        scores = self.model.suite.scores(judged, self._names)
        score = scores[self.options.detector]
        p_values = self.model.suite.p_values(self.options.detector, score)
        known = judged.class_count > 0
        columns = [
            pa.array(ids, pa.string()),
            pa.array(score),
            pa.array(p_values),
            pa.array(p_values <= self.options.alpha),
            pa.array(np.array(self.model.class_names, object)[judged.likeliest] if known else [None] * len(ids)),
            pa.array(judged.confidence if known else [None] * len(ids), pa.float32()),
        ]
        if self.options.every_detector:
            columns += [pa.array(scores[name]) for name in self._names]
        arrays = [column.cast(field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def warm_up(self) -> None:
        """Build what the first images would build, which several threads would at the same time."""
        self.score([""], self.judge(np.zeros((1, self.model.side, self.model.side), np.uint8)))

    def scored(self, decoded: tuple[Piece, Decoded | None]) -> tuple[Piece, tuple[Decoded, pa.Table] | None]:
        """Some rows of a piece with what is written of them; None, which ends a piece, stays."""
        piece, rows = decoded
        return piece, None if rows is None else (rows, self.score(rows.ids, self.judge(rows.images)))


def load_scorer(task: Task) -> Scorer:
    """Load the task's model; SemisynthError where it is no longer the one that the job began with."""
    _check_digest(task)
    model = load_detector(task.model)
    _check_digest(task)  # again: it may have been exchanged while it was read
    return Scorer(model, task.options)


def _check_digest(task: Task) -> None:
    received = digest_of(task.model)
    if received != task.digest:
        raise SemisynthError(f"{task.model}: model {task.digest} expected, received {received}")


def score_pieces(
    scorer: Scorer,
    task: Task,
    pieces: Iterable[Piece],
    on_rows: Callable[[int], None] = lambda count: None,
    workers: int | None = None,
) -> None:
    """Write the part of every piece.

    Reading, decoding and writing overlap, each in a thread of its own, with `workers` threads between them, by
    default `at_once()`, in which the network and the detectors judge some images each.

    `on_rows` is told how many rows were finished. With `strict`, SemisynthError names the first bad row.
    """
    scorer.warm_up()
    side, options = scorer.model.side, task.options
    reader = Reader(options.columns, side, BATCH_SIZE)
    with contextlib.ExitStack() as threads, contextlib.ExitStack() as stack:

        def in_thread(items: Iterator[Item]) -> Iterator[Item]:
            return threads.enter_context(contextlib.closing(ahead(items)))  # the last to begin ends first

        read = in_thread(reader.read(pieces))
        decoded = in_thread(_decoded(read, side, options.strict))
        scored = in_thread(mapped(decoded, scorer.scored, workers or at_once()))
        part: PartWriter | None = None
        for piece, done in scored:
            if part is None:
                writer = PartWriter(task, piece, scorer.schema)
                part = stack.enter_context(writer.opened())
            if done is None:  # the piece ends: what befalls the next one can't harm its part
                stack.close()
                part = None
            else:
                part.add(*done)
                on_rows(len(done[0].bad) + len(done[1]))


def _decoded(
    read: Iterator[tuple[Piece, Raw | None]], side: int, strict: bool
) -> Iterator[tuple[Piece, Decoded | None]]:
    for piece, raw in read:
        if raw is None:
            yield piece, None
            continue
        rows = decode(raw, side)
        if strict and rows.bad:
            file, row = place(piece, rows.bad[0][0])
            raise SemisynthError(f"{file}: row {row}: {rows.bad[0][1]}")
        yield piece, rows
