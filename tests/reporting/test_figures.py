import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from semisynth.reporting import figures
from semisynth.reporting.canvas import GUTTER_SHADE, LARGE, MARGIN, MOST_MAGNIFIED, contact_sheet, shortened
from semisynth.reporting.figures import save_bars, save_confusion, save_grid, save_lines

ARMS = ("labelled", "classical", "synthetic", "pseudo", "synthetic+classical", "all")
CLASSIFIERS = ("cnn", "lightgbm", "svm", "logistic")


def grid(path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16), np.uint8)
    save_grid(path, images, 3, title="a title", row_labels=["one", "two"])


def labelled_grid(path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16), np.uint8)
    columns = [f"column {number}" for number in range(20)]
    save_grid(path, images, 20, title="a title", row_labels=["one", "two"], column_labels=columns)


def bars(path: Path) -> None:
    values = {arm: [50.0 + index, 60, 70, 99.5] for index, arm in enumerate(ARMS)}
    bounds = {arm: [(value - 1, value + 0.5) for value in row] for arm, row in values.items()}
    save_bars(
        path, CLASSIFIERS, values, errors=bounds, ylabel="%", title="t", ylim=(0, 100), value_format="{:.1f}"
    )


def horizontal_bars(path: Path) -> None:
    save_bars(path, ARMS, {"AUROC": range(6)}, ylabel="AUROC", title="t", horizontal=True)


def lines(path: Path) -> None:
    save_lines(path, [1, 2, 3], {"a": [1, 2, float("nan")], "b": [3, 2, 1]}, xlabel="x", ylabel="y", title="t")


def confusion(path: Path) -> None:
    save_confusion(path, np.array([[5, 1], [0, 0]]), ["cat", "a long name of a class, too long"], title="t")


LONG = "fashion-mnist, dcgan_small with loss wasserstein, gradient_penalty 10.0, instance_noise 0.1: a $title$"


def long_titled_bars(path: Path) -> None:
    save_bars(path, ["cnn", "svm"], {"labelled": [50.0, 60.0], "all": [90.0, 95.0]}, ylabel="%", title=LONG)


def long_titled_lines(path: Path) -> None:
    save_lines(path, [1, 2], {"discriminator": [1, 2], "generator": [3, 2]}, xlabel="x", ylabel="y", title=LONG)


def long_titled_confusion(path: Path) -> None:
    save_confusion(path, np.eye(3, dtype=int), ["a long name of a class", "another one", "x" * 60], title=LONG)


LONG_TITLED = [long_titled_bars, long_titled_lines, long_titled_confusion]
KINDS = [grid, labelled_grid, bars, horizontal_bars, lines, confusion, *LONG_TITLED]


@pytest.mark.parametrize("draw", KINDS)
def test_same_input_gives_the_same_png(draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / "one.png")
    draw(tmp_path / "deeper" / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "deeper" / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.format == "PNG"
        assert "Software" not in picture.info
        assert 300 < picture.width < 2000


@pytest.mark.parametrize("draw", KINDS)
def test_nothing_touches_the_edge(draw: Callable[[Path], None], tmp_path: Path) -> None:
    """Text that is cut off would leave ink on the outermost pixels."""
    draw(tmp_path / "figure.png")
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("L"))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge == 255).all()


@pytest.mark.parametrize("draw", KINDS)
def test_failure_leaves_the_old_file_and_no_other(
    draw: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left")

    (tmp_path / "figure.png").write_bytes(b"old")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(OSError, match="no space left"):
        draw(tmp_path / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").read_bytes() == b"old"


def test_grid_shows_every_pixel_dark_on_light_in_one_size(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16), np.uint8)
    save_grid(tmp_path / "grid.png", images, 2, title="title", row_labels=["a", "b"])
    shown = np.asarray(Image.open(tmp_path / "grid.png").convert("L")).astype(int)
    sheet = 255 - contact_sheet(images, 2).astype(int)
    scale = MOST_MAGNIFIED
    bottom, right = shown.shape[0] - MARGIN, shown.shape[1] - MARGIN
    drawn = shown[bottom - scale * sheet.shape[0] : bottom, right - scale * sheet.shape[1] : right]
    np.testing.assert_allclose(drawn, np.kron(sheet, np.ones((scale, scale), int)), atol=1)


def test_contact_sheet_by_hand() -> None:
    images = np.array([[[1]], [[2]], [[3]]], np.uint8)
    g = GUTTER_SHADE
    expected = [[g, g, g, g, g], [g, 1, g, 2, g], [g, g, g, g, g], [g, 3, g, 0, 0], [g, g, g, 0, 0]]
    np.testing.assert_array_equal(contact_sheet(images, 2), expected)


def test_bars_stand_where_the_values_are(tmp_path: Path) -> None:
    """A taller bar takes more ink of its series' colour, in proportion."""
    save_bars(tmp_path / "bars.png", ["g"], {"a": [20.0], "b": [80.0]}, ylabel="y", title="t", ylim=(0, 100))
    pixels = np.asarray(Image.open(tmp_path / "bars.png").convert("RGB"))
    left = pixels[:, : pixels.shape[1] * 2 // 3]  # without the legend

    def height(colour: tuple[int, int, int]) -> int:
        return int((left == colour).all(axis=2).any(axis=1).sum())

    assert height((0x00, 0x72, 0xB2)) / height((0x8C, 0x8C, 0x8C)) == pytest.approx(4, rel=0.05)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would have been written."""
    kept: list[Figure] = []
    monkeypatch.setattr(figures, "save_png", lambda figure, path: kept.append(figure))
    return kept


def interval_ends(figure: Figure) -> list[list[list[float]]]:
    (collection,) = figure.axes[0].collections
    return [segment.tolist() for segment in collection.get_segments()]


def test_intervals_end_at_their_bounds_in_both_directions(drawn: list[Figure]) -> None:
    shared = {"errors": {"a": [(1.0, 4.0), (5.0, 6.5)]}, "ylabel": "y", "title": "t"}
    save_bars(Path("x"), ["g", "h"], {"a": [3.0, 6.0]}, **shared)
    save_bars(Path("x"), ["g", "h"], {"a": [3.0, 6.0]}, **shared, horizontal=True)
    assert interval_ends(drawn[0]) == [[[0, 1], [0, 4]], [[1, 5], [1, 6.5]]]
    assert interval_ends(drawn[1]) == [[[1, 0], [4, 0]], [[5, 1], [6.5, 1]]]


def test_first_group_stands_on_top_of_horizontal_bars(drawn: list[Figure]) -> None:
    horizontal_bars(Path("x"))
    bottom, top = drawn[0].axes[0].get_ylim()
    assert bottom > top
    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()] == list(ARMS)


def test_bars_say_their_values_and_name_their_series(drawn: list[Figure]) -> None:
    bars(Path("x"))
    written = [text.get_text() for text in drawn[0].axes[0].texts]
    assert written == [text for index in range(6) for text in (f"{50 + index:.1f}", "60.0", "70.0", "99.5")]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == list(ARMS)
    assert drawn[0].axes[0].get_ylim() == (0, 100)


def test_confusion_counts_stand_in_their_cells(drawn: list[Figure]) -> None:
    matrix = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
    save_confusion(Path("x"), matrix, ["a", "b", "c"], title="t")
    (axes,) = drawn[0].axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "8", (1, 0): "2", (1, 1): "5"}
    np.testing.assert_allclose(
        np.square(axes.images[0].get_array()), [[0.8, 0.2, 0], [0, 1, 0], [0, 0, 0]], atol=1e-12
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "actual")


def test_lines_go_through_the_values(drawn: list[Figure]) -> None:
    lines(Path("x"))
    first, second = drawn[0].axes[0].lines
    np.testing.assert_array_equal(first.get_xydata(), [[1, 1], [2, 2], [3, np.nan]])
    np.testing.assert_array_equal(second.get_xydata(), [[1, 3], [2, 2], [3, 1]])
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["a", "b"]


@pytest.mark.parametrize("name", ["$", "a$b$c", r"$\nonsense{$", "100 %", "a_b^c"])
def test_names_are_no_mathematics(name: str, tmp_path: Path) -> None:
    save_confusion(tmp_path / "c.png", np.eye(2, dtype=int), [name, "other"], title=name)
    save_bars(tmp_path / "b.png", [name], {name: [1.0], "x": [2.0]}, ylabel=name, title=name)
    save_grid(tmp_path / "g.png", np.zeros((1, 16, 16), np.uint8), 1, title=name, row_labels=[name])
    assert len(list(tmp_path.iterdir())) == 3


def test_a_long_title_that_is_no_mathematics_stays_none_where_it_breaks(tmp_path: Path) -> None:
    for length in range(60, 70):
        save_lines(
            tmp_path / "l.png", [1], {"a": [1]}, xlabel="x", ylabel="y", title="b" * (length % 7) + "$a" * length
        )


def test_confusion_of_many_classes_stays_of_one_size(tmp_path: Path) -> None:
    save_confusion(
        tmp_path / "c.png", np.eye(120, dtype=int), [f"class {index}" for index in range(120)], title="t"
    )
    with Image.open(tmp_path / "c.png") as picture:
        assert max(picture.size) < 2000


@pytest.mark.parametrize("draw", LONG_TITLED)
def test_a_long_title_keeps_within_its_axes(
    draw: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    draw(tmp_path / "figure.png")
    (axes,) = kept[0].axes
    kept[0].draw_without_rendering()
    shown = axes.get_title("left")
    (title,) = [text for text in axes.get_children() if isinstance(text, Text) and text.get_text() == shown]
    assert "".join(shown.split()) == "".join(LONG.replace("$", r"\$").split())
    assert title.get_window_extent().x1 <= axes.get_window_extent().x1 + 1
    assert title.get_fontsize() == LARGE


def test_a_confusion_matrix_stays_large_beside_long_names(drawn: list[Figure]) -> None:
    save_confusion(Path("x"), np.eye(3, dtype=int), ["a", "b", "c"], title="t")
    save_confusion(Path("x"), np.eye(3, dtype=int), ["x" * 60, "a long name of a class", "c"], title="t")
    for figure in drawn:
        figure.draw_without_rendering()
    short, long = (figure.axes[0].get_window_extent().width for figure in drawn)
    assert long == pytest.approx(short, rel=0.15)


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images = np.zeros((4, 16, 16), np.uint8)
    with pytest.raises(ValueError, match="expected 2 row labels, received 1"):
        save_grid(tmp_path / "g.png", images, 2, row_labels=["a"])
    with pytest.raises(ValueError, match="expected 2 column labels, received 3"):
        save_grid(tmp_path / "g.png", images, 2, column_labels=["a", "b", "c"])
    with pytest.raises(ValueError, match="at least one image and one column, received 0 and 2"):
        save_grid(tmp_path / "g.png", images[:0], 2)
    with pytest.raises(ValueError, match=r"expected a matrix of shape \(2, 2\), received \(3, 3\)"):
        save_confusion(tmp_path / "c.png", np.eye(3, dtype=int), ["a", "b"], title="t")
    assert not list(tmp_path.iterdir())


def test_pyplot_and_its_global_state_stay_out() -> None:
    check = "import sys, semisynth.reporting.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_labels_of_up_to_28_characters_are_whole() -> None:
    longest = "autoencoder, undercomplete"
    assert shortened(longest) == longest
    assert shortened("a" * 28) == "a" * 28
    assert shortened("a" * 29) == "a" * 27 + "…"
