"""Markdown tables, and numbers as they stand in them."""

from collections.abc import Sequence

rule_of_alignment = {"l": ("---", str.ljust), "r": ("--:", str.rjust), "c": (":-:", str.center)}


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lay out a Markdown table that also reads as plain text, ending in a newline.

    `align` has a letter per column: l, r or c. Raises ValueError where a row or `align` has another length.
    """
    for line in (align, *rows):
        if len(line) != len(columns):
            raise ValueError(f"expected {len(columns)} columns, received {len(line)}: {line!r}")
    cells = [[_escaped(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(columns))]
    lines = [
        [rule_of_alignment[letter][1](cell, width) for cell, letter, width in zip(row, align, widths, strict=True)]
        for row in cells
    ]
    lines.insert(1, [_rule(letter, width) for letter, width in zip(align, widths, strict=True)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(fraction: float, digits: int = 2) -> str:
    """0.9753 as `97.53 %`."""
    return f"{100 * fraction:.{digits}f} %"


def percent_interval(low: float, high: float, digits: int = 2) -> str:
    """(0.97, 0.98) as `97.00 to 98.00 %`."""
    return f"{100 * low:.{digits}f} to {percent(high, digits)}"


def points(change: float, digits: int = 2) -> str:
    """Change of a fraction, 0.0512, in percentage points with a sign: `+5.12`."""
    return f"{100 * change:+z.{digits}f}"


def points_interval(low: float, high: float, digits: int = 2) -> str:
    """(-0.01, 0.02) as `-1.00 to +2.00`."""
    return f"{points(low, digits)} to {points(high, digits)}"


def p_value(p: float) -> str:
    """Three decimals, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", r"\|")


def _rule(letter: str, width: int) -> str:
    short = rule_of_alignment[letter][0]
    return short[0] + "-" * (width - 2) + short[-1]
