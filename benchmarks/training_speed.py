"""Images per second and peak memory of a training step, against a tutorial's Keras loop and against PyTorch.

    python benchmarks/training_speed.py --torch-python PYTHON

Trains the networks of the recipes `semi_acgan` (its labeller, then its adversarial pair) and `acgan` by each
contender in turn, each in a process of its own, for several rounds. The medians take the place of earlier rows
in benchmarks/training_speed.csv, from which benchmarks/training_speed.md is drawn. PYTHON is an interpreter apart
from this project's environment, with torch and NumPy; without it PyTorch's rows stay as they are.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from machine import commit_of, cores, known_rows, processor
from numpy.typing import NDArray

from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table

# TensorFlow and the modules that need it are imported where they are used. The process that starts the others must
# stay small: the system counts its memory at the start of a process into that one's peak.
if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from semisynth.synthesizers.recipe import Recipe

HERE = Path(__file__).resolve().parent
ROWS, PAGE, TORCH = (HERE / f"training_speed{end}" for end in (".csv", ".md", "_torch.py"))
KEY = ["network", "batch", "precision", "contender"]
COLUMNS = [*KEY, "images_per_second", "peak_mib"]
BATCHES = {"labeller": 192, "semi_acgan": 64, "acgan": 64, "matmul": 4096}  # of the default params.yaml
ENTRIES = (("semisynth", "auto"), ("semisynth", "float32"), ("keras_loop", "float32"))
CONTENDERS = ("semisynth", "keras_loop", "pytorch", "tensorflow")
TORCH_ENTRIES = (("pytorch", "float32"), ("pytorch", "bfloat16"))
POOL, LABELLED, COPIES = 54_000, 100, 10_000  # images: all, labelled, and labelled with transformed copies
CLASSES, SIDE = 10, 28
PARTS = 5  # of the timed steps; one more, not timed, comes first
PRODUCTS = 10  # timed matrix products
NOTE = """\
An image is an unlabelled or real one of the batch. Beside them a labeller's step reads each a second time and a
third as many labelled ones, that of `acgan` half as many labelled ones, and every adversarial step makes as many
synthetic ones. Medians over rounds ({rounds}), each contender in turn in a process of its own, {steps} steps each
after {warm} that are not timed. Images are the bundled digits, repeated to {pool:,}; the weights' seed is {seed}.

- `semisynth`: the pipeline's own `fit`, batches, averaged weights and checks for NaN, operations deterministic.
  `precision: auto` is {fast} here.
- `keras_loop`: the same networks, losses and distortions, by Keras' own layers; `tf.data` from arrays in memory, a
  `@tf.function` with a call of the generator for each network's update, and of the labeller for each view; Keras'
  Adam, no averages.
- `pytorch`: the same networks, losses and distortions; one call of a network for all images, as in `semisynth`,
  batches by index from tensors in memory, channels last, fused Adam, no averages; bfloat16 by autocast.

Share of the peak: the arithmetic of the layers over that of TensorFlow's product of two {size} × {size} matrices
in the same precision. A dense or convolutional layer counts 2 operations a weight and place of its output (of its
input, where transposed), less those with padding, and as many again for each gradient that the step needs: of the
weights, and of the input but for the first layer. All else counts as nothing. Every contender is credited with the
arithmetic of `semisynth`'s step, also where it does more.
"""


class Job(NamedTuple):
    """What one process measures."""

    contender: str
    network: str
    precision: str
    batch: int
    steps: int
    warm: int
    seed: int
    data: str

    @property
    def known(self) -> int:
        """Labelled images of a step, beside the others."""
        return {"labeller": self.batch // 3, "acgan": self.batch // 2}.get(self.network, 0)


def timed(step: Callable[[Any], object], batches: Iterable[Any], job: Job) -> float:
    """Images per second of `step`, after some that are not timed."""
    remaining = iter(batches)
    for batch in islice(remaining, job.warm):
        step(batch)
    start = time.perf_counter()
    for batch in islice(remaining, job.steps):
        step(batch)
    return job.steps * job.batch / (time.perf_counter() - start)


def semisynth(job: Job, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Train by the pipeline's own parts, less what comes once an epoch: averaged copies, propagated labels."""
    from semisynth.training.determinism import seed_everything
    from semisynth.training.fit import fit_resumable

    seed_everything(job.seed)
    build = labeller_and_batches if job.network == "labeller" else pair_and_batches
    model, batches = build(job, images, labels)
    moments: list[float] = []
    fit_resumable(
        model,
        batches,
        epochs=1 + PARTS,
        steps_per_epoch=job.steps // PARTS,
        title=job.network,
        on_epoch=lambda _: moments.append(time.perf_counter()),
    )
    return job.steps * job.batch / (moments[-1] - moments[0])


def labeller_and_batches(job: Job, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Any, Any]:
    from semisynth.networks.labeller import labeller
    from semisynth.synthesizers import labelling
    from semisynth.training.optimizing import FusedAdam
    from semisynth.training.precision import dtype_policy

    known, schedule = image_set(images[:LABELLED], labels[:LABELLED]), labelling.Schedule(900, 3, 300)
    network = labeller(SIDE, CLASSES, dtype_policy(job.precision))
    model = labelling.LabellerModel(network, known, images[LABELLED:], schedule, job.seed)
    model.compile_with(FusedAdam(labelling._Rate(schedule), use_ema=True, ema_momentum=0.99))
    others = len(images) - LABELLED
    return model, lambda start: labelling._batches(others, known.labels, job.batch, job.seed, start)


def pair_and_batches(job: Job, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Any, Any]:
    from semisynth.synthesizers import training
    from semisynth.synthesizers.composition import recipe_by_name
    from semisynth.training.precision import dtype_policy

    recipe, dtype = recipe_by_name(job.network), dtype_policy(job.precision)
    generator, discriminator = networks(recipe, dtype)
    model = training.AdversarialModel(recipe, generator, discriminator, classes=CLASSES, seed=job.seed)
    rates = recipe.discriminator_rate, recipe.generator_rate
    model.compile_pair(*(recipe.optimizer(rate, 0.999) for rate in rates))
    taught = image_set(images, labels) if recipe.learns_labels else image_set(images[:COPIES], labels[:COPIES])
    return model, lambda start: training._batches(recipe, images, taught, job.batch, job.seed, start)


def as_tutorials_have_it(network: "keras.Model") -> "keras.Model":
    """The same network with Keras' own layers in place of the product's faster ones, and with fresh weights."""
    import keras

    from semisynth.networks.dropping import ByteDropout
    from semisynth.networks.normalisation import FusedBatchNormalization

    def plain(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, ByteDropout):
            return keras.layers.Dropout(layer.rate)
        if isinstance(layer, FusedBatchNormalization):
            return keras.layers.BatchNormalization(momentum=layer.momentum)
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=plain)


def networks(recipe: "Recipe", dtype: "keras.DTypePolicy | None" = None) -> "tuple[keras.Model, keras.Model]":
    """The generator of a recipe, and the part of its discriminator that trains against it."""
    return recipe.generator(SIDE, CLASSES, dtype), recipe.adversary(recipe.discriminator(SIDE, CLASSES, dtype))


def image_set(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Any:
    from semisynth.data.imageset import ImageSet

    return ImageSet(images, labels, tuple(map(str, range(CLASSES))), "digits", POOL)


def keras_loop(job: Job, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Train as tutorials write it: keras-io's conditional GAN and its semi-supervised SimCLR."""
    import keras

    keras.utils.set_random_seed(job.seed)
    write = labeller_loop if job.network == "labeller" else pair_loop
    step, batches = write(job, images, labels)
    return timed(lambda batch: step(*batch), batches, job)


def shuffled(batch: int, *arrays: NDArray[Any]) -> "tf.data.Dataset":
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(arrays).shuffle(1024).batch(batch, drop_remainder=True)
    return batches.repeat().prefetch(tf.data.AUTOTUNE)


def labeller_loop(job: Job, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Any, Any]:
    import keras
    import tensorflow as tf

    from semisynth.data.pixels import to_signed
    from semisynth.losses import class_loss, contrastive_loss
    from semisynth.networks.labeller import labeller
    from semisynth.training.distortion import distort

    network, optimizer = labeller(SIDE, CLASSES), keras.optimizers.Adam(0.002)

    def view(batch: tf.Tensor) -> tf.Tensor:
        return distort(batch, tf.random.uniform((2,), maxval=2**31 - 1, dtype=tf.int32))

    @tf.function
    def train_step(others: Any, known: Any) -> tf.Tensor:
        first, second, labelled = view(others[0]), view(others[0]), view(known[0])
        with tf.GradientTape() as tape:
            one, two = network(first, training=True), network(second, training=True)
            told = network(labelled, training=True)["classes"]
            loss = tf.reduce_mean(contrastive_loss(one["projection"], two["projection"], 0.6)) / 5
            loss += tf.reduce_mean(class_loss(told, known[1]))
            for output in (one, two):
                each = tf.nn.softmax_cross_entropy_with_logits(others[1], output["classes"])
                loss += tf.reduce_mean(others[2] * each) / 2
        gradients = tape.gradient(loss, network.trainable_weights)
        optimizer.apply_gradients(zip(gradients, network.trainable_weights, strict=True))
        return loss

    targets = np.full((len(images), CLASSES), 1 / CLASSES, np.float32)
    every = shuffled(job.batch, to_signed(images), targets, np.ones(len(images), np.float32))
    some = shuffled(job.known, to_signed(images[:LABELLED]), labels[:LABELLED])
    return train_step, tf.data.Dataset.zip((every, some))


def pair_loop(job: Job, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Any, Any]:
    import keras
    import tensorflow as tf

    from semisynth.data.pixels import to_signed
    from semisynth.synthesizers.composition import recipe_by_name

    recipe, batch = recipe_by_name(job.network), job.batch
    generator, discriminator = map(as_tutorials_have_it, networks(recipe))
    optimizer_d = keras.optimizers.Adam(recipe.discriminator_rate, beta_1=0.5)
    optimizer_g = keras.optimizers.Adam(recipe.generator_rate, beta_1=0.5)
    realness = keras.losses.BinaryCrossentropy(from_logits=True)
    class_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def draw() -> tuple[tf.Tensor, tf.Tensor]:
        asked = tf.random.uniform((batch,), maxval=CLASSES, dtype=tf.int32)
        return generator([tf.random.normal((batch, recipe.latent_size)), asked], training=True), asked

    def realness_loss(judged: dict[str, tf.Tensor], part: slice, asked: tf.Tensor, target: float) -> tf.Tensor:
        if "realness" in judged:
            logits = judged["realness"][part]
        else:
            logits = tf.gather(judged["by_class"][part], asked, axis=1, batch_dims=1)
        return realness(tf.fill(tf.shape(logits), target), logits)

    @tf.function
    def train_step(real: tf.Tensor, labels: tf.Tensor, *labelled: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        fake, asked = draw()
        with tf.GradientTape() as tape:
            judged = discriminator(tf.concat([real, fake, *labelled], 0), training=True)
            loss_d = realness_loss(judged, slice(batch), labels, recipe.stabilisers.real_targets[0])
            loss_d += realness_loss(judged, slice(batch, 2 * batch), asked, 0.0)
            loss_d += class_of(labels, judged["classes"][2 * batch :] if labelled else judged["classes"][:batch])
        gradients = tape.gradient(loss_d, discriminator.trainable_weights)
        optimizer_d.apply_gradients(zip(gradients, discriminator.trainable_weights, strict=True))
        with tf.GradientTape() as tape:
            fake, asked = draw()
            judged = discriminator(fake, training=True)
            loss_g = realness_loss(judged, slice(batch), asked, 1.0)
            loss_g += recipe.class_weight * class_of(asked, judged["classes"])
        gradients = tape.gradient(loss_g, generator.trainable_weights)
        optimizer_g.apply_gradients(zip(gradients, generator.trainable_weights, strict=True))
        return loss_d, loss_g

    if recipe.learns_labels:
        return train_step, shuffled(batch, to_signed(images), labels)
    every = shuffled(batch, to_signed(images))
    some = shuffled(job.known, to_signed(images[:COPIES]), labels[:COPIES])
    return train_step, tf.data.Dataset.zip((every, some)).map(lambda real, known: (*real, known[1], known[0]))


def matmul(job: Job) -> float:
    """Rows per second of a product of two square matrices: the machine's peak, a row of `batch` for an image."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.stateless_normal((job.batch, job.batch), (job.seed, 0)), job.precision)
    for _ in range(2):
        tf.matmul(matrix, matrix)
    start = time.perf_counter()
    for _ in range(PRODUCTS):
        product = tf.matmul(matrix, matrix)
    product[0, 0].numpy()
    return PRODUCTS * job.batch / (time.perf_counter() - start)


def contend(job: Job) -> dict[str, Any]:
    """Measure a contender of TensorFlow's in this process."""
    from semisynth.training.precision import resolve_precision

    job = job._replace(precision=resolve_precision(job.precision))
    if job.network == "matmul":
        speed = matmul(job)
    else:
        with np.load(job.data, allow_pickle=False) as archive:  # few digits, over and over
            images, labels = np.resize(archive["images"], (POOL, SIDE, SIDE)), np.resize(archive["labels"], POOL)
        speed = {"semisynth": semisynth, "keras_loop": keras_loop}[job.contender](job, images, labels)
    return {"precision": job.precision, "images_per_second": speed, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Peak of this process's resident memory, which Linux gives in KiB and macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def jobs(options: argparse.Namespace, data: Path) -> Iterator[Job]:
    """All measurements of one round."""
    entries = ENTRIES + (TORCH_ENTRIES if options.torch_python else ())
    warm = options.steps // PARTS
    for network, batch in BATCHES.items():
        products = (("tensorflow", "float32"), ("tensorflow", "bfloat16"))
        for contender, precision in products if network == "matmul" else entries:
            yield Job(contender, network, precision, batch, options.steps, warm, options.seed, str(data))


def measure(job: Job, torch_python: str) -> dict[str, Any]:
    """Run a contender in a process of its own."""
    command = [torch_python, str(TORCH)] if job.contender == "pytorch" else [sys.executable, __file__, "--job"]
    counts = {"known": job.known, "pool": POOL, "labelled": LABELLED, "copies": COPIES}
    run = subprocess.run([*command, json.dumps(job._asdict() | counts)], stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"error: {job} ended with status {run.returncode}; no row was written")
    return job._asdict() | json.loads(run.stdout.splitlines()[-1])


def write_digits(path: Path) -> None:
    """Write the bundled digits, by another process that may grow."""
    code = "import sys, numpy; from semisynth.data.digits import bundled_digits as d; x = d(); "
    code += "numpy.savez(sys.argv[1], images=x.images, labels=x.labels)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def merged(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The medians over the rounds, and the earlier rows that they leave."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in measured:
        found.setdefault(tuple(str(one[name]) for name in KEY), []).append(one)
    fresh = [
        dict(zip(KEY, key, strict=True))
        | {name: f"{statistics.median(one[name] for one in group):.0f}" for name in COLUMNS[len(KEY) :]}
        for key, group in found.items()
    ]
    rows = [row for row in known_rows(ROWS) if tuple(row[name] for name in KEY) not in found] + fresh
    return sorted(rows, key=place)


def place(row: dict[str, str]) -> tuple[int, int, str]:
    """Where a row stands among the others."""
    return list(BATCHES).index(row["network"]), CONTENDERS.index(row["contender"]), row["precision"]


def operations(network: str, batch: int) -> float:
    """Floating-point operations of a training step's layers; NOTE says how they are counted."""
    from semisynth.networks.labeller import labeller
    from semisynth.synthesizers.composition import recipe_by_name

    known = Job("", network, "", batch, 0, 0, 0, "").known
    if network == "labeller":
        first, forward = forward_operations(labeller(SIDE, CLASSES))
        return (2 * batch + known) * (3 * forward - first)
    generator, discriminator = map(forward_operations, networks(recipe_by_name(network)))
    own = batch * (3 * generator[1] - generator[0])
    judging = (2 * batch + known) * (3 * discriminator[1] - discriminator[0])
    return own + judging + batch * 2 * discriminator[1]  # the last without the gradients of weights


def forward_operations(network: "keras.Model") -> tuple[float, float]:
    """Those of the first layer for one image, and of all layers."""
    counts = []
    for layer in network.layers:
        if not hasattr(layer, "kernel"):
            continue
        large, small = layer.input.shape[1:-1], layer.output.shape[1:-1]
        if "Transpose" in type(layer).__name__:
            large, small = small, large
        windows = zip(large, small, layer.kernel.shape, getattr(layer, "strides", ()), strict=False)
        counts.append(2.0 * np.prod(layer.kernel.shape[-2:]) * np.prod([pairs(*axis) for axis in windows]))
    return counts[0], sum(counts)


def pairs(large: int, small: int, width: int, stride: int) -> int:
    """How many times a window's place meets a pixel along an axis; padding, where there is any, does not count."""
    before = max((small - 1) * stride + width - large, 0) // 2
    places = np.arange(small)[:, np.newaxis] * stride - before + np.arange(width)
    return int(np.sum((places >= 0) & (places < large)))


def write_page(options: argparse.Namespace) -> None:
    speeds = {tuple(row[name] for name in KEY): float(row["images_per_second"]) for row in known_rows(ROWS)}
    fast = "bfloat16" if any(key[2:] == ("bfloat16", "semisynth") for key in speeds) else "float32"
    lines = []
    for row in known_rows(ROWS):
        network, batch, precision, contender = (row[name] for name in KEY)
        if network == "matmul":
            continue
        size = BATCHES["matmul"]
        peak = speeds["matmul", str(size), precision, "tensorflow"] * 2 * size**2
        speed = speeds[network, batch, precision, contender]
        share = speed * operations(network, int(batch)) / int(batch) / peak
        ours = [speeds[network, batch, kind, "semisynth"] / speed for kind in (precision, fast)]
        against = ["" if contender == "semisynth" else f"{ratio:.2f} ×" for ratio in ours]
        lines.append((*(row[name] for name in COLUMNS), f"{share:.0%}", *against))
    heads = (*KEY, "images/s", "peak MiB", "of the peak", "ours, same precision", f"ours, {fast}")
    choices = f"--rounds {options.rounds} --steps {options.steps} --seed {options.seed}"
    choices += " --torch-python PYTHON" if options.torch_python else ""
    text = NOTE.format(**vars(options), warm=options.steps // PARTS, pool=POOL, size=BATCHES["matmul"], fast=fast)
    write_text(
        PAGE,
        f"""# Training speed: images per second and peak memory of a step

{markdown_table(heads, lines, "lrllrrrrr")}
{text}
Peak: {peaks(speeds)}. {processor()}, {cores()} cores; Python {platform.python_version()};
commit {commit_of()}; `python benchmarks/training_speed.py {choices}`
""",
    )


def peaks(speeds: dict[tuple[str, ...], float]) -> str:
    """The matrix products' arithmetic a second."""
    rates = {key[2]: speed * 2 * int(key[1]) ** 2 / 1e9 for key, speed in speeds.items() if key[0] == "matmul"}
    return ", ".join(f"{rate:.0f} GFLOP/s in {precision}" for precision, rate in rates.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", default="", metavar="PYTHON", help="interpreter with torch and NumPy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help=f"timed in each process; a multiple of {PARTS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        given = json.loads(options.job)
        print(json.dumps(contend(Job(*(given[name] for name in Job._fields)))))
        return
    if options.rounds < 1 or options.steps < PARTS or options.steps % PARTS:
        parser.error(f"expected --rounds of 1 or more and --steps a multiple of {PARTS}")
    measured = []
    with tempfile.TemporaryDirectory(prefix="training-speed-") as folder:
        data = Path(folder) / "digits.npz"
        write_digits(data)
        for _ in range(options.rounds):
            for job in jobs(options, data):
                measured.append(measure(job, options.torch_python))
                print({name: measured[-1][name] for name in COLUMNS}, flush=True)
    write_csv(ROWS, COLUMNS, merged(measured))
    write_page(options)


if __name__ == "__main__":
    main()
