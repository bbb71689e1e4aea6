import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from semisynth.errors import SemisynthError
from semisynth.scoring import identity
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


def test_ids_are_told_short_and_without_what_a_terminal_obeys(tmp_path, write_parquet):
    ids = ["\x1b]0;title\x07", "n" * 1000]
    with pytest.raises(SemisynthError) as raised:
        check(write_parquet(tmp_path / "a.parquet", IMAGES, ids * 2))
    first, second = str(raised.value).split("several rows: ")[1].split(", ")
    assert {first, second} == {r"'\x1b]0;title\x07'", "n" * 199 + "…"}


def test_different_ids_pass_and_so_do_nulls_and_made_ones(tmp_path, write_parquet):
    check(write_parquet(tmp_path / "a.parquet", IMAGES, ["a", None, None, "b"]))
    check(write_parquet(tmp_path / "b.parquet", IMAGES), write_parquet(tmp_path / "c.parquet", IMAGES))


def test_an_id_may_not_be_that_of_a_row_without_one(tmp_path, write_parquet):
    bare = write_parquet(tmp_path / "x.parquet", IMAGES)
    for made in (f"{bare}#0", f"{bare}#3"):
        given = write_parquet(tmp_path / "y.parquet", IMAGES, ["a", made, "b", "c"])
        with pytest.raises(SemisynthError, match=rf"several rows: {made}$"):
            check(bare, given)
    check(bare, write_parquet(tmp_path / "y.parquet", IMAGES, ["a", f"{bare}#4", f"{bare}#00", "c"]))
    np.savez(tmp_path / "z.npz", images=IMAGES)
    given = write_parquet(tmp_path / "y.parquet", IMAGES, ["a", "b", f"{tmp_path}/z.npz#2", "c"])
    with pytest.raises(SemisynthError, match=r"several rows: .*z\.npz#2$"):
        check(given, tmp_path / "z.npz")


def test_an_id_may_not_be_the_path_of_a_picture(tmp_path, write_parquet, encoded):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.png").write_bytes(encoded(IMAGES[0]))
    given = write_parquet(tmp_path / "y.parquet", IMAGES, ["a", "b", f"{tmp_path}/f/a.png", "c"])
    with pytest.raises(SemisynthError, match=r"several rows: .*f/a\.png$"):
        check(given, tmp_path / "f")
    bare = write_parquet(tmp_path / "x.parquet", IMAGES)
    (tmp_path / "x.parquet#1.png").write_bytes(encoded(IMAGES[0]))
    check(bare, tmp_path / "f", tmp_path / "x.parquet#1.png")


def test_different_ids_of_one_hash_pass(tmp_path, write_parquet, monkeypatch):
    monkeypatch.setattr(pd.util, "hash_array", lambda ids, categorize: np.zeros(len(ids), np.uint64))
    check(write_parquet(tmp_path / "a.parquet", IMAGES, ["a", "b", "c", "d"]))
    with pytest.raises(SemisynthError, match="several rows: b"):
        check(write_parquet(tmp_path / "b.parquet", IMAGES, ["a", "b", "b", "d"]))


def test_suspects_are_compared_some_at_a_time(tmp_path, write_parquet, monkeypatch):
    monkeypatch.setattr(identity, "SUSPECTS_AT_A_TIME", 1)
    with pytest.raises(SemisynthError, match=r"several rows: (a, d|d, a)$"):
        check(write_parquet(tmp_path / "a.parquet", IMAGES, list("adad")))


def test_a_damaged_column_of_ids_is_named(tmp_path, write_parquet):
    path = write_parquet(tmp_path / "x.parquet", IMAGES, list("abcd"))
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).dictionary_page_offset
    with (tmp_path / "x.parquet").open("r+b") as stream:
        stream.seek(start)
        stream.write(b"\xff" * 20)
    with pytest.raises(SemisynthError, match=r"x\.parquet: damaged near row 0"):
        check(path)
