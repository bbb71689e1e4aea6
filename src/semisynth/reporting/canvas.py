"""What all figures share: colours, type sizes, plain axes, sheets of images, reproducible PNG files.

Everything goes through matplotlib's objects; `pyplot` and its global state are never touched.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from semisynth.files import replacing_file

DPI = 120
SMALL, NORMAL, LARGE = 9, 11, 13  # points: numbers inside the figure, labels, title
INK, RULE = "#222222", "#d5d5d5"
# Okabe and Ito (2008): distinct in the common kinds of colour blindness. Grey first: what others are held against.
# The last four, of our own, keep twelve series apart.
PALETTE = (
    "#8c8c8c",
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#56b4e9",
    "#d55e00",
    "#cc79a7",
    "#b8a800",
    "#4b2e83",
    "#8a5a2b",
    "#1a1a1a",
    "#9fd8b5",
)
MOST_MAGNIFIED = 8  # screen pixels that an image pixel of a sheet becomes at most
MARGIN, TITLE_HEIGHT, COLUMN_LABEL_HEIGHT = 12, 28, 20  # screen pixels around a sheet, and over it
LINE_HEIGHT = 1.2  # of a title of several lines, in type sizes
GUTTER, GUTTER_SHADE = 1, 40  # of a sheet: image pixels between images, and their grey, 0 = background


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of `width` by `height` inches that keeps its labels inside its edges."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`, whole or not at all; the same figure gives the same bytes.

    Titles wider than their axes are set in several lines, for which the figure grows.
    """
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        _wrap_titles(figure)
    with replacing_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def plain(text: str) -> str:
    """`text` for matplotlib, which would read what stands between dollar signs as mathematics."""
    return text.replace("$", r"\$")


def shortened(text: str, length: int = 28) -> str:
    """`plain(text)`, cut to `length` characters."""
    return plain(text if len(text) <= length else f"{text[: length - 1]}…")


def text_width(text: str, size: float) -> int:
    """Width in screen pixels of `text` set in `size` points."""
    return int(np.ceil(new_figure(1, 1).text(0, 0, text, fontsize=size).get_window_extent().width))


def widest(labels: Sequence[str], size: float) -> int:
    """Width in screen pixels of the widest of `labels` in `size` points."""
    return max((text_width(label, size) for label in labels), default=0)


def colour(index: int) -> str:
    """Colour of the series at `index`; they repeat after the last."""
    return PALETTE[index % len(PALETTE)]


def ink_on(background: str) -> str:
    """White or near black, whichever reads better on `background`."""
    return INK if np.dot(to_rgb(background), (0.299, 0.587, 0.114)) > 0.4 else "white"


def tidy(axes: Axes, *, title: str, grid: str) -> None:
    """Take the frame off, put hairlines along `grid` ("x", "y" or "both") behind the data, title flush left."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(labelsize=NORMAL, colors=INK)
    axes.grid(visible=True, axis=grid, color=RULE, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    set_title(axes, title)


def set_title(axes: Axes, title: str, pad: float = 8) -> None:
    """Put `title` over the left end of `axes`, `pad` points above them."""
    axes.set_title(plain(title), loc="left", fontsize=LARGE, color=INK, pad=pad)


def legend_beside(figure: Figure, axes: Axes) -> None:
    """Put the legend of `axes` to their right, outside of the data."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=NORMAL, frameon=False)


def _wrap_titles(figure: Figure) -> None:
    figure.draw_without_rendering()  # before that, the axes' width is not known
    lines = 1
    for axes in figure.axes:
        title = axes.get_title("left").replace(r"\$", "$")
        wrapped = _wrapped(title, axes.get_window_extent().width)
        lines = max(lines, len(wrapped))
        set_title(axes, "\n".join(wrapped))
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + (lines - 1) * LINE_HEIGHT * LARGE / 72)


def _wrapped(title: str, width: float) -> list[str]:
    """The lines of a `title`, none wider than `width` screen pixels; words break where one alone is."""
    lines, whole = [title], text_width(plain(title), LARGE)
    characters = len(title) if whole <= width else 1 + int(1.2 * len(title) * width / whole)  # widths differ
    while characters > 1 and widest([plain(line) for line in lines], LARGE) > width:
        characters -= 1
        lines = textwrap.wrap(title, characters)
    return lines


def contact_sheet(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """One uint8 array (height, width) of all `images` uint8 (n, side, side), row by row, gutters around each."""
    if len(images) < 1 or columns < 1:
        raise ValueError(f"expected at least one image and one column, received {len(images)} and {columns}")
    side, rows = images.shape[1], -(-len(images) // columns)
    pitch = side + GUTTER
    sheet = np.zeros((rows * pitch + GUTTER, columns * pitch + GUTTER), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * pitch, index % columns * pitch
        sheet[top : top + pitch + GUTTER, left : left + pitch + GUTTER] = GUTTER_SHADE
        sheet[top + GUTTER : top + pitch, left + GUTTER : left + pitch] = image
    return sheet


def framed_sheet(
    sheet: NDArray[np.uint8], label_width: int, title: str, labelled_columns: bool, most: int
) -> tuple[Figure, Axes]:
    """`sheet` (height, width), every pixel magnified by a whole number, with room for labels and a title."""
    height, width = np.array(sheet.shape) * min(MOST_MAGNIFIED, max(1, most // sheet.shape[1]))
    left = MARGIN + (label_width + MARGIN if label_width else 0)
    over = COLUMN_LABEL_HEIGHT if labelled_columns else 0
    total_width = left + max(width, text_width(plain(title), LARGE)) + MARGIN
    total_height = MARGIN + height + over + MARGIN + (TITLE_HEIGHT if title else 0)
    figure = new_figure(total_width / DPI, total_height / DPI)
    figure.set_layout_engine("none")  # the axes stand on whole pixels
    axes = figure.add_axes((left / total_width, MARGIN / total_height, width / total_width, height / total_height))
    axes.imshow(sheet, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    set_title(axes, title, pad=8 + over * 72 / DPI)
    return figure, axes


def label_columns(axes: Axes, labels: Sequence[str], sheet_width: int) -> None:
    """Write every label, or every second, third, ..., over its column of a sheet `sheet_width` wide."""
    shown = [shortened(label) for label in labels]
    pitch = axes.get_window_extent().width / len(shown)
    step = int(np.ceil((widest(shown, SMALL) + MARGIN / 2) / pitch))
    for column in range(0, len(shown), step):
        over = ((column + 0.5) * sheet_width / len(shown) - 0.5, -0.5)
        axes.annotate(
            shown[column], over, (0, 4), textcoords="offset points", ha="center", fontsize=SMALL, color=INK
        )
