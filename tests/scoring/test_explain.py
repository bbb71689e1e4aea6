import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from semisynth.errors import SemisynthError
from semisynth.scoring.explain import MAGNIFIED, residual_picture, write_explanations
from semisynth.scoring.inputs import survey
from semisynth.scoring.job import run_job
from semisynth.scoring.options import JobOptions
from semisynth.scoring.pieces import Columns

OPTIONS = JobOptions(alpha=0.02, rows_per_part=50, explain=4)


@pytest.fixture
def explained(folder, rings, noise, tmp_path):
    """A job over 3 images of noise among 97 others, in two parts; its folder of explanations."""
    images = rings(3, 100)
    images[[10, 60, 70]] = noise(4, 3)
    np.savez(tmp_path / "x.npz", images=images, ids=np.arange(100))
    run_job([str(tmp_path / "x.npz")], folder, tmp_path / "out", OPTIONS)
    return tmp_path / "out" / "explain"


def test_the_worst_images_of_all_parts_are_explained(explained, model):
    with (explained / "explain.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["id"] for row in rows[:3]} == {"10", "60", "70"}
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert {row["nearest_id"] for row in rows} <= set(model.references.ids)
    assert {row["likeliest_class"] for row in rows} <= {"ring", "disc"}
    for row in rows:
        with Image.open(explained / row["picture"]) as picture:
            assert picture.size == (20 * MAGNIFIED, 20 * MAGNIFIED)
    assert (explained / "worst.png").read_bytes().startswith(b"\x89PNG")


def test_explanations_are_made_again_where_the_job_was_cut_off_before_them(explained, folder, tmp_path):
    before = {path.name: path.read_bytes() for path in explained.iterdir()}
    for path in explained.iterdir():
        path.unlink()
    explained.rmdir()
    run_job([str(tmp_path / "x.npz")], folder, tmp_path / "out", OPTIONS)
    assert {path.name: path.read_bytes() for path in explained.iterdir()} == before


def test_an_image_that_is_not_there_any_more_is_named(model, noise, tmp_path):
    np.savez(tmp_path / "x.npz", images=noise(0, 5).astype(np.float32) * np.nan)
    pieces = survey([str(tmp_path / "x.npz")], Columns(), 50).pieces
    worst = [{"piece": 0, "row": 3, "id": "i3", "score": 1.0, "p_value": 0.1}]
    with pytest.raises(SemisynthError, match=r"x\.npz: expected the image i3 that was scored, received none"):
        write_explanations(tmp_path / "explain", model, pieces, worst, Columns())


def test_no_more_are_explained_than_there_are(folder, rings, tmp_path):
    np.savez(tmp_path / "x.npz", images=rings(3, 3))
    run_job([str(tmp_path / "x.npz")], folder, tmp_path / "out", replace(OPTIONS, explain=9))
    assert len(list((tmp_path / "out" / "explain").glob("residual-*.png"))) == 3


def test_the_contact_sheet_holds_the_worst_alone(folder, rings, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("semisynth.scoring.explain.save_grid", lambda *arguments, **_: drawn.append(arguments))
    np.savez(tmp_path / "x.npz", images=rings(3, 120))
    run_job([str(tmp_path / "x.npz")], folder, tmp_path / "out", replace(OPTIONS, explain=110))
    ((_, images, columns),) = drawn
    assert (len(images), columns) == (400, 4)
    assert len(list((tmp_path / "out" / "explain").glob("residual-*.png"))) == 110


def test_residuals_are_red_where_brighter_and_blue_where_darker():
    picture = np.asarray(residual_picture(np.array([[255, -255], [0, 0]], np.int16)))[::MAGNIFIED, ::MAGNIFIED]
    assert picture.tolist() == [[[255, 0, 0], [0, 0, 255]], [[255, 255, 255], [255, 255, 255]]]
