"""Where interrupted work waits: a folder that is no output, keyed by all that the work depends on."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semisynth.files import sha256_of

ROOT = Path(".semisynth") / "resume"
GONE = ".gone"
LIBRARIES = ("keras", "lightgbm", "numpy", "scikit-learn", "tensorflow")
PACKAGE = Path(__file__).resolve().parents[1]


def fingerprint(parameters: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    """SHA-256 over the parameters, the bytes of the input files, the package's source and what it builds on."""
    files = sorted({path for given in inputs for path in _files_of(given)})
    sources = sorted(PACKAGE.rglob("*.py"))
    parts = {
        "parameters": dict(parameters),
        "inputs": [sha256_of(path) for path in files],
        "libraries": {name: version(name) for name in LIBRARIES},
        "code": [[str(path.relative_to(PACKAGE)), sha256_of(path)] for path in sources],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files_of(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def resume_folder(stage: str, parameters: Mapping[str, Any], inputs: Sequence[Path], root: Path = ROOT) -> Path:
    """The folder where `stage` keeps its state for just these parameters, inputs and code; made if need be.

    What an earlier, different attempt at the stage left behind is deleted: it can't be gone on with.
    """
    folder = root / stage / fingerprint(parameters, inputs)[:16]
    for other in folder.parent.glob("*"):
        if other != folder and other.is_dir():
            forget(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget(folder: Path) -> None:
    """Delete a resume folder: its stage has finished. A kill meanwhile leaves no part under its name."""
    gone = folder if folder.suffix == GONE else folder.with_suffix(GONE)
    if gone != folder and folder.is_dir():
        shutil.rmtree(gone, ignore_errors=True)
        folder.replace(gone)
    shutil.rmtree(gone, ignore_errors=True)
