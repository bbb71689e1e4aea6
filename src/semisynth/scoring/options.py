"""What a job is asked for, and what identifies it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from semisynth.scoring.pieces import Columns

Format = Literal["parquet", "csv"]
KEPT = 100  # most abnormal rows of each part, at least, so that a finished job can still be explained


@dataclass(frozen=True)
class JobOptions:
    """Options of a job. All but `strict`, and `explain` up to KEPT, decide what its parts hold.

    `detector`: whose score and p-value; `alpha`: the false-alarm rate at which `is_anomaly` is set;
    `rows_per_part`: about how many rows an output part holds; `strict`: the first bad row ends the job;
    `explain`: of so many of the most abnormal images; `every_detector`: a column more for each detector's score.
    """

    detector: str = "ensemble"
    alpha: float = 0.01
    format: Format = "parquet"
    columns: Columns = field(default_factory=Columns)
    rows_per_part: int = 50_000
    strict: bool = False
    explain: int = 0
    every_detector: bool = False

    def identity(self) -> dict[str, Any]:
        """What the manifest keeps: two jobs on one folder must agree in it."""
        values = asdict(self) | {"explain_up_to": self.kept}
        del values["strict"], values["explain"]
        return values

    @property
    def kept(self) -> int:
        """How many of the most abnormal rows of each part are kept for explanations."""
        return max(self.explain, KEPT)


@dataclass(frozen=True)
class Task:
    """What a worker needs to score pieces: paths and a digest, no objects, so that it can run elsewhere.

    `run` tells this run of a job from those that were killed, whose workers may still be alive.
    """

    model: Path
    digest: str
    out: Path
    options: JobOptions
    run: str = field(default_factory=lambda: uuid4().hex)
