"""PyTorch's side of training_speed.py, which starts it with an interpreter of its own: a job in, JSON out.

The same networks, losses, distortions and batches. Padding is even on both sides, where Keras pads more at the end
for strides of 2; the arithmetic is the same.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES, SIDE = 10, 28
RATES = {"labeller": 0.002, "semi_acgan": 0.0008, "acgan": 0.0002}
LATENT = {"semi_acgan": 64, "acgan": 100}
ROTATION, SHEAR, SCALE, SHIFT, ELASTIC, KNOTS, STROKE = math.radians(15), 0.25, 0.15, 2 / 28, 1 / 28, 7, 0.6


def strided(slope: float, *layers: tuple[int, int, int], drop: float = 0.0) -> nn.Sequential:
    """Convolutions of (filters, size, stride), each with a leaky ReLU."""
    parts: list[nn.Module] = []
    channels = 1
    for filters, size, stride in layers:
        parts += [nn.Conv2d(channels, filters, size, stride, size // 2), nn.LeakyReLU(slope, inplace=True)]
        parts += [nn.Dropout(drop)] if drop else []
        channels = filters
    return nn.Sequential(*parts, nn.Flatten())


class Labeller(nn.Module):
    """Class logits, and projections of the views."""

    def __init__(self) -> None:
        super().__init__()
        self.body = strided(0.1, (32, 5, 2), (64, 3, 2), (128, 3, 1), (128, 3, 1))
        self.dense, self.norm = nn.Linear(128 * 49, 256), nn.BatchNorm1d(256, eps=0.001)
        self.classes = nn.Linear(256, CLASSES)
        self.projection = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Both, for images (b, 1, SIDE, SIDE)."""
        features = functional.leaky_relu(self.norm(self.dense(self.body(images)).float()), 0.1)
        return self.classes(features).float(), self.projection(features).float()


class Critic(nn.Module):
    """Realness logits by class, of which it gives the asked class's, and class logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = strided(0.2, (32, 5, 2), (64, 3, 2), (128, 3, 1))
        self.dense = nn.Linear(128 * 49, 256)
        self.shared, self.own = nn.Linear(256, 1), nn.Linear(256, CLASSES, bias=False)
        self.classes = nn.Linear(256, CLASSES)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Both, (b,) and (b, CLASSES), for images (b, 1, SIDE, SIDE)."""
        features = functional.leaky_relu(self.dense(functional.dropout(self.body(images), 0.3)), 0.2)
        by_class = self.shared(features) + self.own(features)
        return by_class.gather(1, labels[:, None])[:, 0].float(), self.classes(features).float()


class AcganDiscriminator(nn.Module):
    """Realness logits, and class logits, as `acgan` has them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = strided(0.2, (32, 3, 2), (64, 3, 1), (128, 3, 2), (256, 3, 1), drop=0.3)
        self.realness, self.classes = nn.Linear(256 * 49, 1), nn.Linear(256 * 49, CLASSES)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Both, (b,) and (b, CLASSES), for images (b, 1, SIDE, SIDE)."""
        flat = self.body(images)
        return self.realness(flat)[:, 0].float(), self.classes(flat).float()


class Generator(nn.Module):
    """Images from latents and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            nn.Linear(64 + CLASSES, 128 * 49, bias=False),
            nn.BatchNorm1d(128 * 49, eps=0.001),
            nn.ReLU(),
            nn.Unflatten(1, (128, 7, 7)),
        )
        self.body = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64, eps=0.001),
            nn.ReLU(),
            nn.Conv2d(64, 48, 3, padding=1),
            nn.ReLU(),
            nn.PixelShuffle(2),
            nn.Conv2d(12, 1, 3, padding=1),
        )

    def forward(self, latents: Tensor, asked: Tensor) -> Tensor:
        """Give (b, 1, SIDE, SIDE) in [-1, 1]."""
        x = self.dense(torch.cat([latents, functional.one_hot(asked, CLASSES).float()], 1))
        return self.body(x.contiguous(memory_format=torch.channels_last)).float().tanh()


class AcganGenerator(nn.Module):
    """Images from latents and classes, as `acgan` makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 100)
        self.dense = nn.Sequential(nn.Linear(100, 384 * 9), nn.ReLU(), nn.Unflatten(1, (384, 3, 3)))
        self.body = nn.Sequential(
            nn.ConvTranspose2d(384, 192, 5),
            nn.ReLU(),
            nn.BatchNorm2d(192, eps=0.001),
            nn.ConvTranspose2d(192, 96, 5, 2, 2, 1),
            nn.ReLU(),
            nn.BatchNorm2d(96, eps=0.001),
            nn.ConvTranspose2d(96, 1, 5, 2, 2, 1),
        )

    def forward(self, latents: Tensor, asked: Tensor) -> Tensor:
        """Give (b, 1, SIDE, SIDE) in [-1, 1]."""
        x = self.dense(latents * self.embedding(asked))
        return self.body(x.contiguous(memory_format=torch.channels_last)).float().tanh()


def spread() -> Tensor:
    """Gaussian bumps at the knots, (KNOTS², SIDE²), scaled so that white noise of deviation 1 keeps it."""
    knots, pixels = np.linspace(0, SIDE - 1, KNOTS), np.arange(SIDE)
    bumps = np.exp(-(((pixels[:, None] - knots) / (0.6 * (SIDE - 1) / (KNOTS - 1))) ** 2) / 2)
    both = np.einsum("ik,jl->klij", bumps, bumps).reshape(KNOTS**2, SIDE**2)
    return torch.tensor(both / np.sqrt(np.square(both).sum(0)), dtype=torch.float32)


SPREAD, MIDDLE = spread(), (SIDE - 1) / 2
DOWN, ACROSS = (
    axis.reshape(-1) - MIDDLE for axis in torch.meshgrid(*[torch.arange(float(SIDE))] * 2, indexing="ij")
)


@torch.no_grad()
def distort(images: Tensor) -> Tensor:
    """A random affine map, elastic distortion and stroke width for each of `images` (b, 1, SIDE, SIDE)."""
    count = len(images)
    drawn = torch.rand(6, count, 1) * 2 - 1
    angle, shear = drawn[0] * ROTATION, drawn[1] * SHEAR
    tall, wide = 1 + drawn[2] * SCALE, 1 + drawn[3] * SCALE
    cosine, sine = angle.cos(), angle.sin()
    displaced = (torch.randn(2 * count, KNOTS**2) * (ELASTIC * SIDE)) @ SPREAD
    rows = tall * (cosine - shear * sine) * DOWN - wide * sine * ACROSS + drawn[4] * SHIFT * SIDE
    columns = tall * (sine + shear * cosine) * DOWN + wide * cosine * ACROSS + drawn[5] * SHIFT * SIDE
    points = torch.stack([columns + displaced[count:], rows + displaced[:count]], -1) / MIDDLE
    moved = functional.grid_sample((images + 1) / 2, points.view(count, SIDE, SIDE, 2), align_corners=True)
    amount = (torch.rand(count, 1, 1, 1) * 2 - 1) * STROKE
    largest, least = functional.max_pool2d(moved, 3, 1, 1), -functional.max_pool2d(-moved, 3, 1, 1)
    return 2 * (moved + amount.relu() * (largest - moved) + (-amount).relu() * (least - moved)) - 1


def contrastive_loss(first: Tensor, second: Tensor, temperature: float = 0.6) -> Tensor:
    both, count = functional.normalize(torch.cat([first, second])), len(first)
    alike = (both @ both.T / temperature).fill_diagonal_(-1e9)
    return functional.cross_entropy(alike, torch.cat([torch.arange(count) + count, torch.arange(count)]))


def signed(images: Tensor) -> Tensor:
    """uint8 (b, SIDE, SIDE) to float32 (b, 1, SIDE, SIDE) in [-1, 1]."""
    return images[:, None].float() / 127.5 - 1


def indices(count: int, batch: int) -> Callable[[], Tensor]:
    """Batches of a shuffled pass after another."""
    state = {"order": torch.randperm(count), "at": 0}

    def following() -> Tensor:
        if state["at"] + batch > count:
            state.update(order=torch.randperm(count), at=0)
        state["at"] += batch
        return state["order"][state["at"] - batch : state["at"]]

    return following


def adam(network: nn.Module, name: str, beta: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), RATES[name], betas=(beta, 0.999), eps=1e-7, fused=True)


def labeller_step(job: dict[str, Any], images: Tensor, labels: Tensor) -> Callable[[], None]:
    network = Labeller().to(memory_format=torch.channels_last)
    optimizer, every = adam(network, "labeller", 0.9), indices(len(images), job["batch"])
    targets, sureness = torch.full((len(images), CLASSES), 1 / CLASSES), torch.ones(len(images))

    def step() -> None:
        chosen, known = every(), torch.randint(job["labelled"], (job["known"],))
        others, count = images[chosen], len(chosen)
        views = distort(signed(torch.cat([others, others, images[known]])))
        with arithmetic(job):
            logits, both = network(views.contiguous(memory_format=torch.channels_last))
        each = functional.cross_entropy(logits[: 2 * count], targets[chosen].repeat(2, 1), reduction="none")
        loss = contrastive_loss(both[:count], both[count : 2 * count]) / 5
        loss = loss + functional.cross_entropy(logits[2 * count :], labels[known])
        loss = loss + (sureness[chosen].repeat(2) * each).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def pair_step(job: dict[str, Any], images: Tensor, labels: Tensor) -> Callable[[], None]:
    name, count = job["network"], job["batch"]
    semi = name == "semi_acgan"
    generator = (Generator() if semi else AcganGenerator()).to(memory_format=torch.channels_last)
    discriminator = (Critic() if semi else AcganDiscriminator()).to(memory_format=torch.channels_last)
    optimizers = adam(discriminator, name, 0.5), adam(generator, name, 0.5)
    target, weight = (1.0, 0.3) if semi else (0.95, 1.0)
    every = indices(len(images), count)

    def realness_loss(logits: Tensor, value: float) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, value))

    def step() -> None:
        chosen, known = every(), torch.randint(job["copies"], (job["known"],))
        asked = torch.randint(CLASSES, (count,))
        with arithmetic(job):
            fake = generator(torch.randn(count, LATENT[name]), asked)
            seen = torch.cat([signed(images[chosen]), fake.detach(), signed(images[known])])
            seen = seen.contiguous(memory_format=torch.channels_last)
            realness, classes = discriminator(seen, torch.cat([labels[chosen], asked]))
        loss = realness_loss(realness[:count], target) + realness_loss(realness[count : 2 * count], 0.0)
        told = (classes[:count], labels[chosen]) if semi else (classes[2 * count :], labels[known])
        optimizers[0].zero_grad()
        (loss + functional.cross_entropy(*told)).backward()
        optimizers[0].step()
        discriminator.requires_grad_(False)  # its weights' gradients are not wanted
        with arithmetic(job):
            realness, classes = discriminator(fake, asked)
        loss = realness_loss(realness, 1.0) + weight * functional.cross_entropy(classes, asked)
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        discriminator.requires_grad_(True)

    return step


def arithmetic(job: dict[str, Any]) -> AbstractContextManager[None]:
    return torch.autocast("cpu", torch.bfloat16, enabled=job["precision"] == "bfloat16")


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.manual_seed(job["seed"])
    with np.load(job["data"], allow_pickle=False) as archive:
        images = torch.from_numpy(np.resize(archive["images"], (job["pool"], SIDE, SIDE)))
        labels = torch.from_numpy(np.resize(archive["labels"], job["pool"]))
    step = (labeller_step if job["network"] == "labeller" else pair_step)(job, images, labels)
    for _ in range(job["warm"]):
        step()
    start = time.perf_counter()
    for _ in range(job["steps"]):
        step()
    speed = job["steps"] * job["batch"] / (time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(json.dumps({"images_per_second": speed, "peak_mib": peak}))


if __name__ == "__main__":
    main()
