"""The output folder: one job at a time, one model and one set of options, and what is done already."""

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from semisynth.errors import SemisynthError
from semisynth.files import read_json, write_json
from semisynth.scoring.durable import sync_folder
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.parts import (
    PARTS,
    QUARANTINE_SCHEMA,
    RUN,
    STATE,
    discard,
    is_finished,
    most_abnormal,
    quarantine_path,
    read_state,
    staging_path,
    table_file,
)
from semisynth.scoring.pieces import Piece

FORMAT = 1
LOCK, MANIFEST, QUARANTINE, EXPLAIN = ".lock", "manifest.json", "quarantine.parquet", "explain"
OWN = frozenset({LOCK, MANIFEST, QUARANTINE, EXPLAIN, PARTS, STATE})


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make the folder and hold it; SemisynthError where another job does, or where other files are in it.

    The system lets go of the lock when the process ends, however it ends. A job that holds it
    and fails before its manifest leaves no lock, and no folder that was not there before.
    """
    if out.exists() and not out.is_dir():
        raise SemisynthError(f"{out}: an output folder expected, received a file")
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    foreign = sorted(
        path.name for path in out.iterdir() if path.name not in OWN and not path.name.endswith(".part")
    )
    if foreign and not (out / MANIFEST).exists():
        raise SemisynthError(f"{out}: expected a new folder or one of an earlier job, found {foreign[0]}")
    try:
        with _held(out):
            yield
    except BaseException:
        for folder in made:  # when the lock is let go: NFS keeps a deleted file in its folder until it is closed
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """Hold the file of the lock, and delete it if the job fails before its manifest.

    SemisynthError where another job holds it, or the file system has no locks.
    """
    with _taken(out) as stream:
        try:
            yield
        except BaseException:
            with suppress(OSError):  # as on a disk that fails: what stopped the job is told
                if not (out / MANIFEST).exists() and _is_at(stream, out / LOCK):
                    (out / LOCK).unlink()
            raise


def _taken(out: Path) -> TextIO:
    """The file of the lock, open and locked."""
    while True:
        stream = (out / LOCK).open("a", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.close()
            if isinstance(error, BlockingIOError):
                why = "another job is writing here; wait for it, or choose another folder"
            else:
                why = f"can't be locked ({error.strerror}); choose a folder on another file system"
            raise SemisynthError(f"{out}: {why}") from error
        if _is_at(stream, out / LOCK):
            return stream
        stream.close()  # a job that failed has deleted it since it was opened


def _is_at(stream: TextIO, path: Path) -> bool:
    """Whether the open file is the one at `path`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    return False


def manifest_of(
    model: str, options: JobOptions, inputs: Sequence[Mapping[str, Any]], parts: int
) -> dict[str, Any]:
    """What a job is: digest of the model, options, inputs with their digests."""
    return {
        "format": FORMAT,
        "model_sha256": model,
        "options": options.identity(),
        "inputs": [dict(one) for one in inputs],
        "parts": parts,
    }


def claim(out: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, or find an equal one; SemisynthError says in what an earlier job differs.

    Output without a manifest is refused: nothing says which model it is of.
    """
    path = out / MANIFEST
    if not path.exists():
        _refuse_output(out)
        write_json(path, manifest)
        sync_folder(out)
        return
    try:
        found = read_json(path)
    except ValueError as error:
        raise SemisynthError(f"{path}: not a job's manifest ({error})") from error
    difference = _difference(manifest, found, "")
    if difference:
        raise SemisynthError(f"{out}: holds the output of another job ({difference}); choose another folder")


def _refuse_output(out: Path) -> None:
    parts = (f"{PARTS}/{path.name}" for path in sorted((out / PARTS).glob("part-*")))
    found = next(parts, None) or next((name for name in (QUARANTINE, EXPLAIN) if (out / name).exists()), None)
    if found:
        raise SemisynthError(
            f"{out}: expected {MANIFEST} of the job that wrote here, found {found} without it; "
            "delete the folder, or choose another one"
        )


@contextmanager
def staging(task: Task) -> Iterator[None]:
    """Make the folders that the task's writers need, and delete the temporary files of earlier runs.

    A worker that outlived its killed run finds its own folder gone: it can't put anything in place any more.
    """
    parts, state, own = task.out / PARTS, task.out / STATE, staging_path(task)
    parts.mkdir(exist_ok=True)
    state.mkdir(exist_ok=True)
    earlier = list(state.glob(f"{RUN}*"))
    own.mkdir()
    for stale in earlier:  # renamed first: nothing can be added to it while it is deleted
        shutil.rmtree(stale.replace(own / stale.name), ignore_errors=True)
    for stale in (*parts.glob(".*.part"), *state.glob(".*.part")):
        stale.unlink(missing_ok=True)
    sync_folder(task.out)
    try:
        yield
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _difference(ours: Any, theirs: Any, where: str) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours | theirs:
            found = _difference(ours.get(key), theirs.get(key), f"{where}.{key}" if where else str(key))
            if found:
                return found
        return ""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next(filter(None, (_difference(*pair, f"{where}[{at}]") for at, pair in pairs)), "")
    return "" if ours == theirs else f"`{where}` is {_shown(theirs)} there, {_shown(ours)} here"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def pending(out: Path, pieces: Sequence[Piece], options: JobOptions) -> list[Piece]:
    """The pieces that are not finished; what is left of them is deleted."""
    found = [piece for piece in pieces if not is_finished(out, piece.index, options.format)]
    for piece in found:
        discard(out, piece.index, options.format)
    return found


def totals(out: Path, pieces: Sequence[Piece], explain: int) -> dict[str, Any]:
    """The counts of all parts together: `rows`, `anomalies`, `quarantined` by reason, and the `worst` rows."""
    rows = anomalies = 0
    reasons: Counter[str] = Counter()
    worst: list[dict[str, Any]] = []
    for piece in pieces:
        state = read_state(out, piece.index)
        rows, anomalies = rows + state["rows"], anomalies + state["anomalies"]
        reasons.update(state["quarantined"])
        worst = most_abnormal(worst + state["worst"], explain)
    return {"rows": rows, "anomalies": anomalies, "quarantined": dict(sorted(reasons.items())), "worst": worst}


def gather_quarantine(out: Path, pieces: Sequence[Piece]) -> None:
    """Write `quarantine.parquet` from what waits beside the parts; none where no row is bad."""
    waiting = [
        quarantine_path(out, piece.index) for piece in pieces if read_state(out, piece.index)["quarantined"]
    ]
    if not waiting:
        (out / QUARANTINE).unlink(missing_ok=True)
        return
    with table_file(out / QUARANTINE, QUARANTINE_SCHEMA, "parquet") as writer:
        for path in waiting:
            with path.open("rb") as stream:  # by path, Arrow would take a colon in it for the end of a scheme
                for batch in pq.ParquetFile(stream).iter_batches():
                    writer.add(pa.Table.from_batches([batch]))
