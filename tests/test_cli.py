import pytest
from typer.testing import CliRunner

from semisynth.cli import app


def test_doctor_ends_with_status_1_where_something_is_missing(tmp_path):
    done = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path)])
    assert done.exit_code == 1
    assert "MEND  dvc.yaml is missing" in done.output
    assert "checks need mending" in done.output


@pytest.mark.parametrize("arguments", [["docter"], ["doctor", "--fodler", "."]])
def test_wrong_usage_ends_with_status_2(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2
