import pytest

from semisynth.reporting.tables import markdown_table, p_value, percent, percent_interval, points, points_interval


def test_table_is_markdown_and_plain_text() -> None:
    table = markdown_table(
        ["arm", "accuracy", "x"], [["labelled", "7.0 %", "a"], ["all", "97.5 %", "bcd e"]], "lrc"
    )
    assert table == (
        "| arm      | accuracy |   x   |\n"
        "| -------- | -------: | :---: |\n"
        "| labelled |    7.0 % |   a   |\n"
        "| all      |   97.5 % | bcd e |\n"
    )


def test_table_without_rows_keeps_its_header() -> None:
    assert markdown_table(["a"], [], "l") == "| a   |\n| --- |\n"


def test_cells_cannot_break_the_table() -> None:
    assert markdown_table(["name"], [["a|b\nc"]], "l").splitlines()[2] == r"| a\|b c |"


@pytest.mark.parametrize(("rows", "align"), [([["a"]], "ll"), ([["a", "b"]], "l")])
def test_other_number_of_columns_is_refused(rows: list[list[str]], align: str) -> None:
    with pytest.raises(ValueError, match="expected 2 columns, received 1"):
        markdown_table(["x", "y"], rows, align)


def test_numbers() -> None:
    assert percent(0.97534) == "97.53 %"
    assert percent(1, digits=0) == "100 %"
    assert percent_interval(0.97, 0.98) == "97.00 to 98.00 %"
    assert points(0.0512) == "+5.12"
    assert points(-0.0512, digits=1) == "-5.1"
    assert points(-1e-9) == "+0.00"
    assert points_interval(-0.01, 0.02) == "-1.00 to +2.00"
    assert [p_value(p) for p in (1.0, 0.0496, 0.001, 0.0009, 0.0)] == [
        "1.000",
        "0.050",
        "0.001",
        "< 0.001",
        "< 0.001",
    ]
