"""Glyphs of letters, drawn as digits are written in MNIST: of similar size and stroke, centred by mass."""

from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# None that a hand or a turn makes a digit: O D Q o for 0, I l J for 1, Z z for 2, S s for 5, G b for 6, y Y for 4.
LETTERS = "AEFHKMNRTVWXkmnwx"
# Bundled with matplotlib. The weights span a pen's strokes, from thin to thick.
FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansMono.ttf",
)
FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
OVERSAMPLING = 4
MOST_DEGREES = 20.0
EXTENTS = (0.55, 0.75)  # longer edge over the image's; MNIST's digits fill 20 of 28 pixels: 0.71
MOST_SHIFT = 0.04  # of the image's edge, off the centre of mass


def draw_letter(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a letter, uint8 (side, side), white on black; `random` chooses it, its font, size, turn and place."""
    return _placed(_glyph(side, random), side, random)


def _glyph(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the letter alone: uint8 (height, width), no empty rows or columns around it."""
    size = OVERSAMPLING * side
    font = ImageFont.truetype(FOLDER / FONTS[random.integers(len(FONTS))], size)
    canvas = Image.new("L", (3 * size, 3 * size))
    letter = LETTERS[random.integers(len(LETTERS))]
    ImageDraw.Draw(canvas).text((1.5 * size, 1.5 * size), letter, fill=255, font=font, anchor="mm")
    turned = canvas.rotate(random.uniform(-MOST_DEGREES, MOST_DEGREES), Image.Resampling.BICUBIC)
    cropped = turned.crop(turned.getbbox())
    scale = random.uniform(*EXTENTS) * side / max(cropped.size)
    width, height = (max(1, round(edge * scale)) for edge in cropped.size)
    return np.asarray(cropped.resize((width, height), Image.Resampling.BOX))


def _placed(glyph: NDArray[np.uint8], side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """`glyph` in a black image, its centre of mass near the middle, as far as it stays inside."""
    image = np.zeros((side, side), np.uint8)
    spans = []
    for axis, length in enumerate(glyph.shape):
        mass = glyph.sum(axis=1 - axis, dtype=np.float64)
        centre = np.average(np.arange(length), weights=mass)
        shift = random.uniform(-MOST_SHIFT, MOST_SHIFT) * side
        start = int(np.clip(round((side - 1) / 2 - centre + shift), 0, side - length))
        spans.append(slice(start, start + length))
    image[tuple(spans)] = glyph
    return image
