"""Figures as PNG files: grids of images, grouped bars, lines, confusion matrices."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from semisynth.reporting.canvas import (
    DPI,
    INK,
    NORMAL,
    SMALL,
    colour,
    contact_sheet,
    framed_sheet,
    ink_on,
    label_columns,
    legend_beside,
    new_figure,
    plain,
    save_png,
    set_title,
    shortened,
    tidy,
    widest,
)

GRID_WIDTH = 900  # screen pixels that a grid fills at most
BAR_THICKNESS = 0.24  # inches
MOST_NUMBERED_CLASSES = 30  # beyond them, numbers in the cells could not be read


def save_grid(
    path: Path,
    images: NDArray[np.uint8],
    columns: int,
    *,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    width: int = GRID_WIDTH,
) -> None:
    """Draw images uint8 (n, side, side), 0 = background, dark on light, row by row in a grid `columns` wide.

    Every image pixel becomes the same whole number of screen pixels, so that the grid fills `width` of them at
    most. `row_labels` needs one label a row, `column_labels` one a column; those that would touch are left out.
    """
    sheet = contact_sheet(images, columns)
    rows = -(-len(images) // columns)
    labels = [shortened(label) for label in row_labels or ()]
    if row_labels is not None and len(labels) != rows:
        raise ValueError(f"expected {rows} row labels, received {len(labels)}")
    if column_labels is not None and len(column_labels) != columns:
        raise ValueError(f"expected {columns} column labels, received {len(column_labels)}")
    figure, axes = framed_sheet(sheet, widest(labels, NORMAL), title or "", bool(column_labels), width)
    if column_labels:
        label_columns(axes, column_labels, sheet.shape[1])
    for row, label in enumerate(labels):
        beside = (0, (row + 0.5) * sheet.shape[0] / rows)
        axes.annotate(
            label, beside, (-5, 0), textcoords="offset points", ha="right", va="center", fontsize=NORMAL, color=INK
        )
    save_png(figure, path)


def save_bars(
    path: Path,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    errors: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    ylabel: str,
    title: str,
    ylim: tuple[float, float] | None = None,
    horizontal: bool = False,
    value_format: str | None = None,
) -> None:
    """Draw grouped bars: `series` maps each name in the legend to a value per group.

    `errors` maps the same names to (low, high) bounds per group, in the values' own unit. `ylabel` and `ylim`
    are the values' label and range, which stand along the x axis where `horizontal`. `value_format`, as
    "{:.1f}", writes each value into its bar.
    """
    thickness = 0.8 / len(series)
    extent = max(4.5, BAR_THICKNESS * len(groups) * (len(series) + 1.5))  # inches along the groups
    figure = new_figure(8.5, extent + 1) if horizontal else new_figure(extent + 2.5, 4.8)
    axes = figure.add_subplot()
    tidy(axes, title=title, grid="x" if horizontal else "y")
    for index, (name, values) in enumerate(series.items()):
        places = np.arange(len(groups)) + (index - (len(series) - 1) / 2) * thickness
        fill = colour(index if len(series) > 1 else 1)
        draw = axes.barh if horizontal else axes.bar
        bars = draw(places, values, thickness * 0.92, color=fill, label=plain(name))
        if value_format is not None:
            turn, ink = 0 if horizontal else 90, ink_on(fill)
            axes.bar_label(bars, fmt=value_format, label_type="center", rotation=turn, fontsize=SMALL, color=ink)
        if errors is not None:
            _draw_intervals(axes, places, values, errors[name], horizontal)
    _name_groups(axes, groups, ylabel, ylim, horizontal)
    if len(series) > 1:
        legend_beside(figure, axes)
    save_png(figure, path)


def save_lines(
    path: Path,
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    title: str,
) -> None:
    """Draw curves over a shared `x`: `series` maps each name in the legend to a value per x; NaN leaves a gap."""
    figure = new_figure(8.5, 4.5)
    axes = figure.add_subplot()
    tidy(axes, title=title, grid="both")
    marker = "o" if len(x) <= 40 else None  # one point alone would be no line
    for index, (name, values) in enumerate(series.items(), start=1):
        axes.plot(x, values, color=colour(index), marker=marker, markersize=4, linewidth=2, label=plain(name))
    axes.set_xlabel(plain(xlabel), fontsize=NORMAL, color=INK)
    axes.set_ylabel(plain(ylabel), fontsize=NORMAL, color=INK)
    whole = all(float(value).is_integer() for value in x)
    axes.xaxis.set_major_locator(MaxNLocator(integer=whole, min_n_ticks=1))
    if len(series) > 1:
        legend_beside(figure, axes)
    save_png(figure, path)


def save_confusion(path: Path, matrix: NDArray[np.integer], class_names: Sequence[str], *, title: str) -> None:
    """Draw a confusion matrix, int (k, k), rows actual, columns predicted.

    Counts stand in the cells, and the shade is the share of the row.
    """
    k = len(class_names)
    if matrix.shape != (k, k):
        raise ValueError(f"expected a matrix of shape ({k}, {k}), received {matrix.shape}")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)  # (k, k)
    size = min(max(0.55 * k, 3.0), 11)
    labels = widest([shortened(name) for name in class_names], NORMAL) / DPI  # inches
    figure = new_figure(size + 1.5 + labels, size + 1.3 + labels)
    axes = figure.add_subplot()
    # The square root lets a few mistakes among a thousand images show.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.15)
    if k <= MOST_NUMBERED_CLASSES:
        _number_cells(axes, matrix, shares)
    _name_classes(axes, class_names)
    set_title(axes, title)
    save_png(figure, path)


def _draw_intervals(
    axes: Axes,
    places: NDArray[np.floating],
    values: Sequence[float],
    bounds: Sequence[tuple[float, float]],
    horizontal: bool,
) -> None:
    """Draw from low to high of each of `bounds`, (groups) pairs, over the bars at `places`."""
    low, high = np.array(bounds, float).reshape(-1, 2).T
    spread = np.clip([np.array(values) - low, high - np.array(values)], 0, None)  # (2, groups)
    axes.errorbar(
        values if horizontal else places,
        places if horizontal else values,
        xerr=spread if horizontal else None,
        yerr=None if horizontal else spread,
        fmt="none",
        ecolor=INK,
        elinewidth=1.2,
        capsize=2,
    )


def _name_groups(
    axes: Axes, groups: Sequence[str], label: str, limits: tuple[float, float] | None, horizontal: bool
) -> None:
    names = [shortened(group) for group in groups]
    if horizontal:
        axes.set_yticks(range(len(groups)), names)
        axes.margins(y=0.02)
        axes.invert_yaxis()  # the first group on top
        axes.set_xlabel(plain(label), fontsize=NORMAL, color=INK)
        axes.set_xlim(limits)
    else:
        axes.set_xticks(range(len(groups)), names)
        axes.set_ylabel(plain(label), fontsize=NORMAL, color=INK)
        axes.set_ylim(limits)


def _number_cells(axes: Axes, matrix: NDArray[np.integer], shares: NDArray[np.floating]) -> None:
    size = SMALL if len(matrix) <= 20 else SMALL - 2
    for (row, column), count in np.ndenumerate(matrix):
        if count:  # an empty cell leaves the mistakes easier to see
            ink = "white" if shares[row, column] > 0.4 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=size, color=ink)


def _name_classes(axes: Axes, class_names: Sequence[str]) -> None:
    step = -(-len(class_names) // MOST_NUMBERED_CLASSES)
    names = [shortened(name) for name in class_names][::step]
    places = range(0, len(class_names), step)
    wide = max(map(len, names)) > 3
    axes.set_xticks(places, names, rotation=45 if wide else 0, ha="right" if wide else "center")
    axes.set_yticks(places, names)
    axes.tick_params(length=0, labelsize=NORMAL, colors=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted", fontsize=NORMAL, color=INK)
    axes.set_ylabel("actual", fontsize=NORMAL, color=INK)
