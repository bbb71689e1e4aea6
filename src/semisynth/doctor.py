"""What a project folder and an environment need before `dvc repro` can run."""

import configparser
import importlib
import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisynth.data.mirrors import mirrors_of
from semisynth.data.sources import SOURCES
from semisynth.errors import SemisynthError
from semisynth.params import load_params

LEAST_FREE_GIB = 2


@dataclass(frozen=True)
class Finding:
    """One check: whether it is fine, and a line that says what was found and how to mend it."""

    fine: bool
    line: str


def examine(folder: Path) -> list[Finding]:
    """Check `folder` (a checkout or an unpacked download) and the running environment."""
    return [
        _python(),
        *_packages(),
        _dvc_command(),
        *_project_files(folder),
        _git(folder),
        _mirror(),
        _disk(folder),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(sys.version_info >= (3, 11), f"Python {version} (3.11 or later is needed)")


def _packages() -> Iterator[Finding]:
    missing = []
    for requirement in importlib.metadata.requires("semisynth") or []:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(False, f"missing packages: {', '.join(missing)}; install requirements.lock")
    else:
        yield Finding(True, "all packages are installed")
        yield _lightgbm()


def _lightgbm() -> Finding:
    """It is the one package that needs what no index holds: OpenMP, which macOS lacks."""
    try:
        importlib.import_module("lightgbm")
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        return Finding(False, f"LightGBM does not load ({reason}); on macOS: `brew install libomp`")
    return Finding(True, "LightGBM loads")


def _dvc_command() -> Finding:
    if shutil.which("dvc"):
        return Finding(True, "`dvc` is on the PATH")
    return Finding(False, "`dvc` is not on the PATH; activate the environment: . .venv/bin/activate")


def _project_files(folder: Path) -> Iterator[Finding]:
    for name in ("dvc.yaml", ".dvc/config"):
        present = (folder / name).exists()
        yield Finding(present, f"{name} {'is here' if present else 'is missing; run from the project folder'}")
    try:
        recipe = load_params(folder / "params.yaml").train_synthesizer.recipe_source
        if not isinstance(recipe, str):
            _check_parts(recipe)
        yield Finding(True, "params.yaml is valid")
    except (SemisynthError, OSError) as error:
        yield Finding(False, str(error))


def _check_parts(recipe: dict[str, Any]) -> None:
    """Raise SemisynthError where a recipe's parts don't go together."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # of TensorFlow's chatter, errors alone
    from semisynth.synthesizers.composition import recipe_from  # here, since it takes seconds

    recipe_from(recipe)


def _git(folder: Path) -> Finding:
    if any((place / ".git").exists() for place in (folder.resolve(), *folder.resolve().parents)):
        return Finding(True, "the project is under git")
    config = configparser.ConfigParser()
    try:
        config.read([folder / ".dvc" / "config", folder / ".dvc" / "config.local"])
    except configparser.Error as error:
        return Finding(False, f"no git history, and DVC's configuration can't be read: {error.message}")
    if config.get("core", "no_scm", fallback="false").lower() == "true":
        return Finding(True, "no git history, and core.no_scm is set: `dvc metrics diff` and `dvc exp` need git")
    return Finding(False, "no git history: DVC needs `dvc config core.no_scm true` here, then `dvc repro` works")


def _mirror() -> Finding:
    mirror = os.environ.get("SEMISYNTH_MIRROR")
    if not mirror:
        return Finding(
            True, "SEMISYNTH_MIRROR is not set: public mirrors are asked, then the fallback of params.yaml"
        )
    try:
        place = mirrors_of(SOURCES["mnist"], mirror)[0].folder
    except SemisynthError as error:
        return Finding(False, f"SEMISYNTH_MIRROR: {error}")
    if isinstance(place, str) or place.parent.is_dir():
        return Finding(True, "SEMISYNTH_MIRROR is set and is tried first")
    return Finding(False, f"SEMISYNTH_MIRROR names no folder and no URL: {mirror}")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder if folder.exists() else Path()).free / 2**30
    return Finding(free >= LEAST_FREE_GIB, f"{free:.1f} GiB of disk are free ({LEAST_FREE_GIB} are needed)")
