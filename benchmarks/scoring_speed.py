"""Images per second and peak memory of the scoring job, against the ways in which one would score without it.

    dvc repro fit_detector && python benchmarks/scoring_speed.py --images 10000 100000 --pyod-python PYTHON

Writes test images, repeated with ids of their own, to Parquet; scores them by each contender in a process of its
own; adds a row for each to benchmarks/scoring_speed.csv, and writes benchmarks/scoring_speed.md from all rows.
Safe to kill. PYTHON is that of an environment of its own, made from benchmarks/pyod-requirements.txt.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import ROOT, commit_of, cores, known_rows, measured, processor
from numpy.typing import NDArray

from semisynth.data.imageset import load_images
from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "scoring_speed.csv", HERE / "scoring_speed.md"
COLUMNS = ["images", "contender", "images_per_second", "peak_mib", "commit"]
GROUP, CHUNK = 50_000, 500
FITTED = 2000  # images that pyod's detectors learn from; fitting is not timed
CONTENDERS = {
    "ours": "`semisynth score`, local engine",
    "ours_ray": "`semisynth score --engine ray`",
    "forward": "the network's own compiled pass over images in memory, all of its outputs and nothing else",
    "forward_read": "the same less realness, which no member of the ensemble reads: what the job itself runs",
    "predict": "a loop of `model.predict` over the Parquet file's batches of 500, in pieces of 32, Keras's "
    "default; the same network, all of its outputs",
    "pyod_autoencoder": "pyod's `AutoEncoder.decision_function`",
    "pyod_deepsvdd": "pyod's `DeepSVDD.decision_function`",
}


def write_images(path: Path, source: Path, count: int) -> None:
    """Write `count` images as lists of pixels, in row groups of 50,000: the test images over and over."""
    images = load_images(source).images
    pixels = images[0].size
    kind = pa.schema([("id", pa.int64()), ("image", pa.list_(pa.uint8(), pixels))])
    with pq.ParquetWriter(path, kind) as writer:
        for start in range(0, count, GROUP):
            rows = np.arange(start, min(start + GROUP, count))
            values = pa.array(np.ascontiguousarray(images[rows % len(images)]).reshape(-1))
            column = pa.FixedSizeListArray.from_arrays(values, pixels)
            writer.write_table(pa.Table.from_arrays([pa.array(rows), column], schema=kind), row_group_size=GROUP)


def batches(path: Path, side: int) -> Iterator[NDArray[np.uint8]]:
    for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(CHUNK, columns=["image"], use_threads=False):
        yield batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(-1, side, side)


def ours(model: Path, path: Path, engine: str) -> float:
    """Score by the job; the time includes loading the model, the check of ids and all digests."""
    from semisynth.scoring.distributed import RayEngine
    from semisynth.scoring.job import run_job
    from semisynth.scoring.options import JobOptions

    chosen = {"engine": RayEngine()} if engine == "ray" else {}
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        return float(
            run_job([str(path)], model, Path(out) / "scores", JobOptions(), **chosen)["images_per_second"]
        )


def forward(model: Path, path: Path, *, realness: bool) -> float:
    from semisynth.scoring.model import load_detector

    loaded = load_detector(model)
    some = np.concatenate([batch for batch, _ in zip(batches(path, loaded.side), range(20), strict=False)])
    loaded.judge(some[:1], realness=realness)
    rounds = max(1, pq.ParquetFile(path).metadata.num_rows // len(some))
    start = time.perf_counter()
    for _ in range(rounds):
        loaded.judge(some, realness=realness)
    return rounds * len(some) / (time.perf_counter() - start)


def predict(model: Path, path: Path) -> float:
    """The loop that one writes first: Keras cuts each batch into pieces of 32, its default."""
    from semisynth.data.pixels import to_signed
    from semisynth.scoring.model import load_detector

    loaded, count = load_detector(model), 0
    start = time.perf_counter()
    for images in batches(path, loaded.side):
        scores = -loaded.discriminator.predict(to_signed(images), verbose=0)["realness"]
        count += len(scores)
    return count / (time.perf_counter() - start)


def pyod(name: str, path: Path) -> float:
    """Time `decision_function` alone, of a network with pyod's defaults, fitted on 2,000 images for one epoch."""
    side = int(np.sqrt(pq.ParquetFile(path).schema_arrow.field("image").type.list_size))
    flat = (batch.reshape(len(batch), -1).astype(np.float32) / 255 for batch in batches(path, side))
    first = np.concatenate([rows for rows, _ in zip(flat, range(FITTED // CHUNK), strict=False)])
    if name == "pyod_autoencoder":
        from pyod.models.auto_encoder import AutoEncoder

        detector = AutoEncoder(epoch_num=1, verbose=0)
    else:
        from pyod.models.deep_svdd import DeepSVDD

        detector = DeepSVDD(n_features=first.shape[1], epochs=1, verbose=0)
    detector.fit(first)
    count, seconds = 0, 0.0
    for images in batches(path, side):
        rows = images.reshape(len(images), -1).astype(np.float32) / 255
        start = time.perf_counter()
        count += len(detector.decision_function(rows))
        seconds += time.perf_counter() - start
    return count / seconds


def contend(contender: str, model: Path, path: Path) -> float:
    """Images per second of a contender, in this process."""
    runs: dict[str, Callable[[], float]] = {
        "ours": lambda: ours(model, path, "local"),
        "ours_ray": lambda: ours(model, path, "ray"),
        "forward": lambda: forward(model, path, realness=True),
        "forward_read": lambda: forward(model, path, realness=False),
        "predict": lambda: predict(model, path),
    }
    return runs[contender]() if contender in runs else pyod(contender, path)


def measure(contender: str, model: Path, path: Path, python: str) -> dict[str, object]:
    """Run a contender in a process of its own; its row, less the number of images."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [python, __file__, "--contend", contender, "--model", str(model), "--parquet", str(path)]
        run = measured([*command, "--result", str(result)], ROOT)
        speed = json.loads(result.read_text(encoding="utf-8"))
    return {"contender": contender, "images_per_second": f"{speed:.0f}", "peak_mib": f"{run.peak / 2**20:.0f}"}


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str})
    sizes = sorted(rows["images"].unique())
    speed = rows.set_index(["contender", "images"])["images_per_second"]
    lines = [
        (
            name,
            f"{size:,}",
            f"{row.images_per_second:.0f}",
            f"{row.peak_mib:.0f}",
            against(speed, name, size),
            row.commit,
        )
        for size in sizes
        for name in CONTENDERS
        for row in rows[(rows["contender"] == name) & (rows["images"] == size)].itertuples()
    ]
    columns = ("contender", "images", "images/s", "peak MiB", "ours is", "commit")
    parts = [
        "# The scoring job: images per second and peak memory\n",
        markdown_table(columns, lines, "lrrrrl"),
        "".join(f"- `{name}`: {what}\n" for name, what in CONTENDERS.items() if name in set(rows["contender"])),
        "Ours reads, checks ids, decodes, scores by the ensemble and writes; `forward` is the network alone, and\n"
        "pyod's detectors score arrays in memory. One run each: some tenths of the ratios may be chance.\n"
        f"{processor()}, {cores()} cores. Written by `benchmarks/scoring_speed.py`.\n",
    ]
    write_text(PAGE, "\n".join(parts))


def against(speed: "pd.Series[float]", name: str, size: int) -> str:
    """How many times as fast ours is, at the same number of images."""
    if name == "ours" or ("ours", size) not in speed.index:
        return ""
    return f"{speed['ours', size] / speed[name, size]:.2f} ×"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[], help="how many; none draws the page")
    parser.add_argument(
        "--contenders", choices=CONTENDERS, nargs="+", default=["ours", "forward", "forward_read", "predict"]
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "detector")
    parser.add_argument(
        "--source", type=Path, default=ROOT / "data" / "split" / "test.npz", help="images to repeat"
    )
    parser.add_argument("--pyod-python", default=sys.executable, help="interpreter with pyod and PyTorch")
    parser.add_argument("--contend", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--parquet", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contend:
        speed = contend(options.contend, options.model, options.parquet)
        options.result.write_text(json.dumps(speed), encoding="utf-8")
        return
    for count in options.images:
        with tempfile.TemporaryDirectory(prefix="scoring-speed-") as folder:
            path = Path(folder) / "images.parquet"
            for contender in options.contenders:
                if (str(count), contender) in {(row["images"], row["contender"]) for row in known_rows(ROWS)}:
                    continue
                if not path.exists():
                    write_images(path, options.source, count)
                python = options.pyod_python if contender.startswith("pyod") else sys.executable
                row = measure(contender, options.model.resolve(), path, python)
                write_csv(ROWS, COLUMNS, [*known_rows(ROWS), {"images": count} | row | {"commit": commit_of()}])
                print(row, flush=True)
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
