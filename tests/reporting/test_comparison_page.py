from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semisynth.reporting import comparison_page as comparison_page_module
from semisynth.reporting.comparison_page import comparison_page, heading, save_accuracy_bars


def accuracy(arm: str, classifier: str, value: float) -> dict[str, Any]:
    bounds = {"error_low": 1 - value - 0.01, "error_high": 1 - value + 0.02}
    return {"arm": arm, "classifier": classifier, "accuracy": value, "error": 1 - value, **bounds}


def change(arm: str, classifier: str, value: float, p: float) -> dict[str, Any]:
    bounds = {"change_low": value - 0.01, "change_high": value + 0.02}
    return {"arm": arm, "classifier": classifier, "change": value, "mcnemar_p": p, **bounds}


ACCURACIES = [
    accuracy("labelled", "cnn", 0.78),
    accuracy("labelled", "svm", 0.9),
    accuracy("all", "cnn", 0.97),
]
CHANGES = [change("all", "cnn", 0.19, 0.0001)]


def cells(page: str, start: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith(start)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_heading() -> None:
    assert heading("mnist", 1000, 10_000) == "mnist, 1,000 labels: accuracy on 10,000 test images"


def test_page_holds_both_tables() -> None:
    page = comparison_page("some title", ACCURACIES, CHANGES, level=0.9)
    assert page.startswith("# some title\n\n| arm ")
    assert "## Intervals at 90 %" in page
    overview, *details = cells(page, "| all")
    assert overview == ["all", "97.00 % (+19.00) *", "–"]
    assert details == [["all", "cnn", "97.00 %", "95.00 to 98.00 %", "+19.00", "+18.00 to +21.00", "< 0.001"]]
    assert cells(page, "| labelled")[2] == ["labelled", "svm", "90.00 %", "88.00 to 91.00 %", "–", "–", "–"]


@pytest.mark.parametrize(("level", "shown"), [(0.975, "97.5 %"), (0.999, "99.9 %"), (0.95, "95 %")])
def test_the_level_is_not_rounded(level: float, shown: str) -> None:
    assert f"## Intervals at {shown}\n" in comparison_page("t", ACCURACIES, CHANGES, level=level)


def test_a_loss_is_printed_like_a_gain_and_only_small_p_is_marked() -> None:
    page = comparison_page("t", ACCURACIES, [change("all", "cnn", -0.012, 0.05)], level=0.95)
    assert cells(page, "| all")[0][1] == "97.00 % (-1.20)"


def test_bars_leave_a_gap_for_what_was_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        comparison_page_module, "save_bars", lambda path, groups, series, **more: given.update(more, series=series)
    )
    save_accuracy_bars(Path("accuracy.png"), "title", ACCURACIES, level=0.95)
    assert given["series"] == {
        "labelled": pytest.approx([78, 90]),
        "all": pytest.approx([97, np.nan], nan_ok=True),
    }
    assert given["errors"]["labelled"] == [pytest.approx((76, 79)), pytest.approx((88, 91))]
    assert given["errors"]["all"][1] == pytest.approx((np.nan, np.nan), nan_ok=True)


def test_bars_with_a_gap_can_be_drawn(tmp_path: Path) -> None:
    save_accuracy_bars(tmp_path / "accuracy.png", "title", ACCURACIES, level=0.95)
    with Image.open(tmp_path / "accuracy.png") as picture:
        assert picture.format == "PNG"
