import numpy as np
import pandas as pd
import pytest

from semisynth.errors import SemisynthError
from semisynth.scoring.identity import check_ids
from semisynth.scoring.inputs import survey
from semisynth.scoring.pieces import Columns

IMAGES = np.zeros((4, 20, 20), np.uint8)


def check(*paths):
    check_ids(survey([str(path) for path in paths], Columns(), 2).pieces, Columns())


def test_an_id_in_two_rows_of_two_files_is_named(tmp_path, write_parquet):
    one = write_parquet(tmp_path / "a.parquet", IMAGES, ["a", "b", "c", "d"])
    np.savez(tmp_path / "b.npz", images=IMAGES, ids=np.array(["e", "c", "f", "g"]))
    with pytest.raises(SemisynthError, match=r"several rows: c$"):
        check(one, tmp_path / "b.npz")


def test_only_a_few_of_many_are_named(tmp_path, write_parquet):
    images = np.zeros((10, 20, 20), np.uint8)
    with pytest.raises(SemisynthError, match=r"several rows: 0, 1, 2, and more$"):
        check(write_parquet(tmp_path / "a.parquet", images, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]))


def test_different_ids_pass_and_so_do_nulls_and_made_ones(tmp_path, write_parquet):
    check(write_parquet(tmp_path / "a.parquet", IMAGES, ["a", None, None, "b"]))
    check(write_parquet(tmp_path / "b.parquet", IMAGES), write_parquet(tmp_path / "c.parquet", IMAGES))


def test_different_ids_of_one_hash_pass(tmp_path, write_parquet, monkeypatch):
    monkeypatch.setattr(pd.util, "hash_array", lambda ids, categorize: np.zeros(len(ids), np.uint64))
    check(write_parquet(tmp_path / "a.parquet", IMAGES, ["a", "b", "c", "d"]))
    with pytest.raises(SemisynthError, match="several rows: b"):
        check(write_parquet(tmp_path / "b.parquet", IMAGES, ["a", "b", "b", "d"]))
