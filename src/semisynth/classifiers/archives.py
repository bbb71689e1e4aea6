"""scikit-learn's models on disk, by skops: no pickle, only types that it knows, equal bytes for equal models."""

import io
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from semisynth.errors import SemisynthError

_SCHEMA = "schema.json"
_ADDRESS = re.compile(r'("__id__": |"file": ")(\d+)')


def save_model(path: Path, model: Any) -> None:
    """Write a scikit-learn `model` to `path`."""
    import skops.io  # takes a second to load, and most stages read no such model

    path.write_bytes(_without_addresses(skops.io.dumps(model)))


def load_model(path: Path) -> Any:
    """Read a model that `save_model` wrote.

    Raises SemisynthError where the file is damaged or holds any type that skops doesn't trust by itself.
    """
    import skops.io

    try:
        return skops.io.load(path, trusted=[])
    except Exception as error:  # skops promises no type: zipfile's, json's and NumPy's errors come through
        reason = " ".join(str(error).split())
        raise SemisynthError(f"{path}: not a model that can be trusted ({reason})") from error


def _without_addresses(content: bytes) -> bytes:
    """Number the objects of a skops archive in order: skops names them by memory address, and writes the time."""
    numbers: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}"

    result = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as old, ZipFile(result, "w") as new:
        schema = _ADDRESS.sub(numbered, old.read(_SCHEMA).decode())
        for name in sorted(set(old.namelist()) - {_SCHEMA}, key=lambda name: numbers[Path(name).stem]):
            new.writestr(ZipInfo(f"{numbers[Path(name).stem]}{Path(name).suffix}"), old.read(name))
        new.writestr(ZipInfo(_SCHEMA), schema)
    return result.getvalue()
