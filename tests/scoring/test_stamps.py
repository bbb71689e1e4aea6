"""Inputs that change while a job reads them end it."""

import os

import numpy as np
import pytest

from semisynth.data.idx import write_idx
from semisynth.errors import SemisynthError
from semisynth.scoring.inputs import Reader, survey
from semisynth.scoring.pieces import Columns
from semisynth.scoring.stamps import check_stamp, stamp_of

SIDE = 20
CHANGED = "changed during the job: size and time of change"


@pytest.fixture(params=["parquet", "npz", "idx", "folder"])
def named(request, tmp_path, noise, encoded, write_parquet):
    """An input of 12 images in every form: what is named, and the file that holds its last image."""
    images, path = noise(0, 12), tmp_path / f"x.{request.param}"
    if request.param == "parquet":
        write_parquet(path, images, group=6)
    elif request.param == "npz":
        np.savez(path, images=images)
    elif request.param == "idx":
        write_idx(path, images)
    else:
        path.mkdir()
        for row, image in enumerate(images):
            (path / f"{row:02d}.png").write_bytes(encoded(image))
    return path, path / "11.png" if path.is_dir() else path


def opened(path):
    """The batches of an input of two pieces."""
    return Reader(Columns(), SIDE, 3).read(survey([str(path)], Columns(), 6).pieces)


def later(path):
    """Change the file's time of change alone."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def test_what_stays_the_same_is_read(named):
    assert sum(len(raw.ids) for _, raw in opened(named[0]) if raw) == 12


def test_a_file_that_changes_before_it_is_opened_is_named(named):
    batches = opened(named[0])
    before = stamp_of(str(named[1]))
    later(named[1])
    with pytest.raises(SemisynthError, match=f"{named[1]}: {CHANGED} {before} expected, received {before[:-9]}"):
        list(batches)


def test_a_file_that_changes_while_it_is_read_ends_the_piece_and_none_after_it(named):
    batches = opened(named[0])
    next(batches)
    later(named[1])
    ended = []
    with pytest.raises(SemisynthError, match=f"{named[1]}: {CHANGED}"):
        ended.extend(piece.index for piece, raw in batches if raw is None)
    assert ended == ([0] if named[0].is_dir() else [])


def test_a_file_that_is_gone_is_named(named):
    batches = opened(named[0])
    named[1].unlink()
    with pytest.raises(SemisynthError, match=rf"{named[1]}: {CHANGED} \d+:\d+ expected, received no such file"):
        list(batches)


def test_a_stamp_is_size_and_time(tmp_path):
    path = tmp_path / "x"
    assert stamp_of(str(path)) == ""
    check_stamp(str(path), "")
    path.write_bytes(b"abc")
    assert stamp_of(str(path)) == f"3:{path.stat().st_mtime_ns}"
    with pytest.raises(SemisynthError, match=r"x: changed .* \(no such file\) expected, received 3:"):
        check_stamp(str(path), "")
