import errno
import gzip
import io
import os
import re
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semisynth.data.idx import IMAGES_MAGIC, write_idx
from semisynth.errors import SemisynthError
from semisynth.scoring import inputs, parquet, row_groups
from semisynth.scoring.arrays import RowStream
from semisynth.scoring.decoding import LARGEST_ENCODED, decode
from semisynth.scoring.identity import check_ids
from semisynth.scoring.inputs import Reader, survey
from semisynth.scoring.parts import quarantined
from semisynth.scoring.pieces import Columns

SIDE = 20


def everything(paths, rows_per_part=7, columns=None, batch_size=3):
    """Ids and images of all rows, in order, read piece by piece."""
    columns = columns or Columns()
    found = survey([str(path) for path in paths], columns, rows_per_part)
    ids, images, bad = [], [], []
    for _, raw in Reader(columns, SIDE, batch_size).read(found.pieces):
        if raw is None:  # the end of a piece
            continue
        assert len(raw.ids) <= batch_size
        rows = decode(raw, SIDE)
        ids += rows.ids
        images.append(rows.images)
        bad += rows.bad
    return found, ids, np.concatenate(images), bad


def save_folder(folder, images, encoded):
    folder.mkdir()
    for row, image in enumerate(images):
        (folder / f"{row:02d}.png").write_bytes(encoded(image))
    return folder


@pytest.mark.parametrize("form", ["png", "lists", "npz", "packed npz", "idx", "packed idx", "folder", "pictures"])
def test_every_form_of_input_gives_the_same_images(form, tmp_path, noise, encoded, write_parquet):
    images = noise(0, 17)
    path = tmp_path / "x"
    if form in ("png", "lists"):
        path = write_parquet(path.with_suffix(".parquet"), images, lists=form == "lists", group=5)
    elif form.endswith("npz"):
        path = path.with_suffix(".npz")
        (np.savez if form == "npz" else np.savez_compressed)(path, images=images)
    elif form.endswith("idx"):
        path = tmp_path / ("x-idx3-ubyte" + (".gz" if "packed" in form else ""))
        write_idx(path, images)
    else:
        save_folder(path, images, encoded)
        path = path if form == "folder" else path / "*.png"
    found, ids, read, bad = everything([path])
    np.testing.assert_array_equal(read, images)
    assert (len(set(ids)), bad, found.rows) == (17, [], 17)
    assert [piece.index for piece in found.pieces] == list(range(len(found.pieces)))
    assert sum(one["rows"] for one in found.inputs) == 17


def test_ids_come_from_the_file_where_it_has_any(tmp_path, noise, write_parquet):
    names = [f"n{row}" for row in range(8)]
    np.savez(tmp_path / "x.npz", images=noise(0, 8), ids=np.array(names))
    assert everything([tmp_path / "x.npz"])[1] == names
    assert everything([write_parquet(tmp_path / "a.parquet", noise(0, 8), range(8))])[1] == list("01234567")
    path = write_parquet(tmp_path / "b.parquet", noise(0, 2))
    assert everything([path])[1] == [f"{path}#0", f"{path}#1"]


def test_row_groups_stay_whole_and_small_ones_share_a_part(tmp_path, noise, write_parquet):
    path = write_parquet(tmp_path / "x.parquet", noise(0, 17), group=3)
    found = survey([path], Columns(), 7)
    assert [piece.rows for piece in found.pieces] == [6, 6, 5]
    assert [piece.groups for piece in found.pieces] == [(0, 1), (2, 3), (4, 5)]
    assert [piece.rows for piece in survey([path], Columns(), 2).pieces] == [3, 3, 3, 3, 3, 2]


def test_encoded_images_may_stand_in_a_structure(tmp_path, noise, encoded):
    images = noise(0, 3)
    cells = [{"bytes": encoded(image), "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "x.parquet")
    np.testing.assert_array_equal(everything([tmp_path / "x.parquet"])[2], images)


@pytest.fixture
def _unread(monkeypatch):
    """Fails where images of an array are read."""
    whole = RowStream.read

    def read(self, start, count):
        assert self.name != "images"
        return whole(self, start, count)

    monkeypatch.setattr(RowStream, "read", read)


@pytest.mark.usefixtures("_unread")
def test_images_of_another_size_are_refused_without_being_read(tmp_path):
    with (tmp_path / "x.npz").open("wb") as stream:
        np.savez(stream, images=np.zeros((4, 5, 9), np.uint8))
    assert everything([tmp_path / "x.npz"])[3] == [(row, "wrong size: 9x5, expected 20x20") for row in range(4)]


def test_files_that_are_no_images_are_not_passed_over(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 2), encoded)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").write_text("no image")
    (folder / "sub").mkdir()
    (folder / "sub" / "a.jpg").write_bytes(encoded(noise(1, 1)[0], "JPEG"))
    _, ids, _, bad = everything([folder])
    assert ids == [f"{folder}/00.png", f"{folder}/01.png", f"{folder}/sub/a.jpg"]
    assert bad == [(2, "undecodable: expected PNG or JPEG")]


def test_a_file_name_that_is_no_utf_8_is_bad_and_stops_nothing(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 1), encoded)
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(encoded(noise(1, 1)[0]))
    _, ids, _, bad = everything([folder])
    assert (ids, bad) == ([f"{folder}/00.png"], [(1, "id that is not Unicode")])
    (piece,) = survey([str(folder)], Columns(), 7).pieces
    assert quarantined(piece, bad).to_pylist() == [
        {"file": f"{folder}/caf\\udce9.png", "row": 0, "reason": "id that is not Unicode"}
    ]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_ids_of_a_column_that_are_no_utf_8_are_bad_and_stop_nothing(kind, tmp_path, noise, encoded):
    raw = pa.array([b"a", b"caf\xe9", None, b"caf\xe9", "caf\u00e9".encode()], pa.large_binary())
    ids = pa.Array.from_buffers(
        kind, 5, raw.cast(pa.large_binary() if "large" in str(kind) else pa.binary()).buffers()
    )
    table = pa.table({"image": [encoded(image) for image in noise(0, 5)], "id": ids})
    pq.write_table(table, tmp_path / "x.parquet")
    check_ids(survey([str(tmp_path / "x.parquet")], Columns(), 7).pieces, Columns())
    _, names, _, bad = everything([tmp_path / "x.parquet"], batch_size=10)
    assert names == ["a", "caf\u00e9"]
    assert bad == [(1, "id that is not Unicode"), (2, "null id"), (3, "id that is not Unicode")]


def test_ids_that_are_no_unicode_are_no_duplicates(tmp_path, noise):
    np.savez(tmp_path / "x.npz", images=noise(0, 3), ids=np.array(["a", "\ud800", "\ud800"]))
    check_ids(survey([str(tmp_path / "x.npz")], Columns(), 7).pieces, Columns())
    assert everything([tmp_path / "x.npz"])[3] == [(row, "id that is not Unicode") for row in (1, 2)]


def test_linked_folders_are_entered_once(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 2), encoded)
    elsewhere = save_folder(tmp_path / "elsewhere", noise(1, 3), encoded)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    assert survey([str(folder)], Columns(), 7).rows == 5


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, noise, encoded, monkeypatch):
    folder = save_folder(tmp_path / "f", noise(0, 2), encoded)
    (folder / "shut").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(SemisynthError, match="f/shut: expected a folder that can be read: Permission denied"):
        survey([str(folder)], Columns(), 7)


def test_a_folder_of_tables_is_refused_also_behind_a_marker(tmp_path, noise, write_parquet):
    (tmp_path / "f").mkdir()
    write_parquet(tmp_path / "f" / "part-0.parquet", noise(0, 2))
    (tmp_path / "f" / "_SUCCESS").touch()
    with pytest.raises(
        SemisynthError, match=r"f: a folder of images expected, found .*part-0\.parquet; name such"
    ):
        survey([str(tmp_path / "f")], Columns(), 7)


def test_a_table_among_images_ends_in_quarantine_with_what_is_no_image(tmp_path, noise, encoded, write_parquet):
    folder = save_folder(tmp_path / "f", noise(0, 2), encoded)
    write_parquet(folder / "a.parquet", noise(0, 2))
    assert survey([str(folder)], Columns(), 7).rows == 3
    for path in folder.glob("*.png"):
        path.rename(path.with_suffix(""))
    assert survey([str(folder)], Columns(), 7).rows == 3


def test_nothing_is_read_twice(tmp_path, noise, write_parquet):
    path = write_parquet(tmp_path / "x.parquet", noise(0, 3))
    assert survey([path, str(tmp_path / "*.parquet"), path], Columns(), 7).rows == 3


def test_a_picture_that_is_named_again_is_scored_once(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 3), encoded)
    (folder / "sub").mkdir()
    (folder / "sub" / "a.png").write_bytes(encoded(noise(1, 1)[0]))
    (folder / "notes.txt").write_text("no image")
    (tmp_path / "link.png").symlink_to(folder / "00.png")
    assert survey([str(folder), str(folder / "00.png"), str(tmp_path / "link.png")], Columns(), 7).rows == 5
    assert survey([f"{folder}/**"], Columns(), 7).rows == 5
    assert survey([f"{folder}/*.png", str(folder)], Columns(), 7).rows == 5


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("name", ["x.parquet", "x-idx3-ubyte"])
def test_a_table_that_is_named_beside_its_folder_is_read_once(
    name, order, tmp_path, noise, encoded, write_parquet
):
    folder = save_folder(tmp_path / "x", noise(0, 2), encoded)
    path = folder / name
    if name == "x.parquet":
        write_parquet(path, noise(1, 3), ["a", "b", "c"])
    else:
        write_idx(path, noise(1, 3))
    _, ids, images, bad = everything([folder, path][order])
    of_table = ["a", "b", "c"] if name == "x.parquet" else [f"{path}#{row}" for row in range(3)]
    assert sorted(ids) == sorted([f"{folder}/00.png", f"{folder}/01.png", *of_table])
    assert (len(images), bad) == (5, [])


def test_a_pattern_that_matches_a_folder_and_its_tables_reads_the_tables(tmp_path, noise, write_parquet):
    (tmp_path / "x" / "sub").mkdir(parents=True)
    write_parquet(tmp_path / "x" / "a.parquet", noise(0, 2))
    write_parquet(tmp_path / "x" / "sub" / "b.parquet", noise(1, 3))
    _, ids, _, bad = everything([tmp_path / "x" / "**"])
    assert (len(set(ids)), bad) == (5, [])


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_without_a_suffix_is_known_by_its_first_bytes(form, tmp_path, noise, encoded):
    (tmp_path / "photo").write_bytes(encoded(noise(0, 1)[0], form))
    _, ids, images, bad = everything([tmp_path / "photo"])
    assert (ids, len(images), bad) == ([f"{tmp_path}/photo"], 1, [])


def test_what_cannot_be_read_is_bad_and_stops_nothing(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 1), encoded)
    (folder / "link.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.png")
    with (folder / "vast.png").open("wb") as stream:
        stream.truncate(LARGEST_ENCODED + 7)
    assert everything([folder])[3] == [
        (1, "unreadable: No such file or directory"),
        (2, "unreadable: not a file"),
        (3, f"too large: {LARGEST_ENCODED + 7} bytes encoded, the limit is {LARGEST_ENCODED}"),
    ]
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(SemisynthError, match=r"pipe\.npz: expected a file or a folder, received neither"):
        survey([str(tmp_path / "pipe.npz")], Columns(), 7)


def test_links_in_a_circle_are_named_or_bad(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 1), encoded)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    for named in (folder, f"{folder}/*.png", f"{folder}/*"):
        assert everything([named])[3] == [(1, "unreadable: Too many levels of symbolic links")]
    (tmp_path / "circle.npz").symlink_to(tmp_path / "circle.npz")
    with pytest.raises(SemisynthError, match=r"circle\.npz: expected a file or a folder, received neither"):
        survey([f"{tmp_path}/*.npz"], Columns(), 7)


def test_large_pictures_come_fewer_at_a_time(tmp_path, noise, encoded, monkeypatch):
    folder = save_folder(tmp_path / "f", noise(0, 5), encoded)
    monkeypatch.setattr(inputs, "READ_BYTES", int(1.5 * len(encoded(noise(0, 1)[0]))))
    pieces = survey([str(folder)], Columns(), 7).pieces
    read = [raw for _, raw in Reader(Columns(), SIDE, 500).read(pieces) if raw]
    assert [(raw.first, len(raw.ids), len(raw.cells)) for raw in read] == [(0, 2, 2), (2, 2, 2), (4, 1, 1)]


def test_an_output_folder_among_the_inputs_is_refused(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 1), encoded)
    with pytest.raises(SemisynthError, match=r"f/out: expected an output folder outside of the input folder"):
        survey([str(folder)], Columns(), 7, folder / "out")
    assert survey([str(folder)], Columns(), 7, tmp_path / "out").rows == 1


def test_a_pattern_takes_nothing_of_the_output_folder(tmp_path, noise, write_parquet, capsys):
    path = write_parquet(tmp_path / "sub" / "x.parquet", noise(0, 3))
    out = tmp_path / "scores"
    own = write_parquet(out / "parts" / "part-000000.parquet", noise(1, 3))
    (tmp_path / "link.parquet").symlink_to(own)
    found = survey([f"{tmp_path}/**/*.parquet", path], Columns(), 7, out)
    assert [one["path"] for one in found.inputs] == [path]
    assert capsys.readouterr().err == f"notice: what lies in the output folder {out} is left out of the input\n"
    with pytest.raises(SemisynthError, match=r"no file outside of the output folder .*scores matches it"):
        survey([f"{out}/**/*.parquet"], Columns(), 7, out)
    assert survey([own], Columns(), 7, out).rows == 3  # it was asked for by name
    assert survey([path], Columns(), 7, out).rows == 3
    assert capsys.readouterr().err == ""


def lists_of_equal_pixels(noise, encoded):
    return pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(100 * SIDE**2, np.uint8)), SIDE**2)


def one_repeated_picture(noise, encoded):
    return pa.array([encoded(noise(0, 1)[0])] * 100)


def small_pictures_then_large_ones(noise, encoded):
    return pa.array([b"x"] * 80 + [encoded(image) for image in noise(0, 20)])


@pytest.mark.parametrize(
    "make",
    [lists_of_equal_pixels, one_repeated_picture, small_pictures_then_large_ones],
    ids=lambda one: one.__name__,
)
def test_rows_are_read_by_their_bytes_in_memory(make, tmp_path, noise, encoded, monkeypatch):
    """Whatever the file says of their sizes: it packs what is equal, and knows means alone."""
    column = "a.b"
    pq.write_table(pa.table({column: make(noise, encoded)}), tmp_path / "x.parquet")
    for module in (parquet, row_groups):
        monkeypatch.setattr(module, "READ_BYTES", 10 * SIDE**2)
    monkeypatch.setattr(parquet, "FEW_ROWS", 2)
    pieces = survey([str(tmp_path / "x.parquet")], Columns(column), 100).pieces
    read = [raw for _, raw in Reader(Columns(column), SIDE, 500).read(pieces) if raw]
    assert sum(len(raw.ids) for raw in read) == 100
    assert max(raw.cells.nbytes for raw in read) <= 10 * SIDE**2
    assert min(len(raw.ids) for raw in read[:-1]) > 4  # few at a time, but not one by one


def repeated(value, count):
    """Many equal cells, which a file holds once."""
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([value])).cast(pa.binary())


def zeros(count):
    return pa.array(np.zeros(count, np.uint8))


LARGE = 2**20 + 1
TOO_LARGE = f"too large: {LARGE} bytes encoded, the limit is {LARGEST_ENCODED}"
TOO_LONG = f"wrong size: {LARGE} pixels, expected {SIDE**2}"


@pytest.mark.parametrize(
    ("make", "reasons"),
    [
        (lambda: repeated(bytes(LARGE), 30), [TOO_LARGE] * 30),
        (
            lambda: pa.ListArray.from_arrays(
                [0, LARGE, LARGE, LARGE + 5], zeros(LARGE + 5), mask=pa.array([False, True, False])
            ),
            [TOO_LONG, "null", f"wrong size: 5 pixels, expected {SIDE**2}"],
        ),
        (
            lambda: pa.FixedSizeListArray.from_arrays(zeros(2 * LARGE), LARGE, mask=pa.array([False, True])),
            [TOO_LONG, "null"],
        ),
        (
            lambda: pa.StructArray.from_arrays(
                [pa.array([bytes(LARGE), b"x"]), pa.array(["", ""])], ["bytes", "path"]
            ),
            [TOO_LARGE, "undecodable: expected PNG or JPEG"],
        ),
    ],
    ids=["bytes", "lists", "lists of one size", "structure"],
)
def test_cells_too_large_for_an_image_take_no_memory(make, reasons, tmp_path):
    cells = make()
    schema = pa.schema([pa.field("image", cells.type, nullable=bool(cells.null_count))])
    pq.write_table(pa.Table.from_arrays([cells], schema=schema), tmp_path / "x.parquet")
    pieces = survey([str(tmp_path / "x.parquet")], Columns(), 500).pieces
    (raw,) = [raw for _, raw in Reader(Columns(), SIDE, 500).read(pieces) if raw]
    assert raw.cells.nbytes < 2000
    assert decode(raw, SIDE).bad == list(enumerate(reasons))


@pytest.fixture
def reads(monkeypatch):
    """Rows and bytes of each read of a Parquet file's images, of which 2**16 bytes are read at a time."""
    seen = []
    plain = parquet.bounded
    for module in (parquet, row_groups):
        monkeypatch.setattr(module, "READ_BYTES", 2**16)
    monkeypatch.setattr(
        parquet, "bounded", lambda cells, side: seen.append((len(cells), cells.nbytes)) or plain(cells, side)
    )
    return seen


@pytest.mark.parametrize(
    ("cells", "together", "most"),
    [(repeated(bytes(2**16), 40), [1] * 40, 2**16 + 8), (repeated(b"x", 1200), [500, 500, 200], 2**8)],
    ids=["large", "small"],
)
def test_large_cells_are_read_one_by_one_and_small_ones_into_full_batches(cells, together, most, tmp_path, reads):
    pq.write_table(pa.table({"image": cells}), tmp_path / "x.parquet", row_group_size=90)
    pieces = survey([str(tmp_path / "x.parquet")], Columns(), 2000).pieces
    assert [len(raw.ids) for _, raw in Reader(Columns(), SIDE, 500).read(pieces) if raw] == together
    assert max(size for _, size in reads) <= most
    assert len(reads) < 1200 / parquet.FEW_ROWS + 5


def test_an_image_that_stands_once_for_many_rows_is_read_few_rows_at_a_time(tmp_path, reads, encoded, monkeypatch):
    """After small ones, which tell nothing of what comes."""
    monkeypatch.setattr(parquet, "HELD_BYTES", 3 * LARGE)
    cells = pa.DictionaryArray.from_arrays([0] * 500 + [1] * 60, pa.array([b"small", bytes(LARGE)])).cast(
        pa.binary()
    )
    pq.write_table(pa.table({"image": cells}), tmp_path / "x.parquet", dictionary_pagesize_limit=2**30)
    _, ids, _, bad = everything([tmp_path / "x.parquet"], batch_size=500)
    assert (ids, [why for _, why in bad][-60:], len(bad)) == ([], [TOO_LARGE] * 60, 560)
    assert max(rows for rows, _ in reads) == 3


@pytest.mark.parametrize("ids", [None, ["a", "b", "c", "d"]])
@pytest.mark.parametrize("kind", ["lists", "bytes"])
def test_images_of_a_row_group_that_holds_far_too_much_are_not_read(kind, ids, tmp_path, noise, encoded, reads):
    good = encoded(noise(0, 1)[0])
    if kind == "lists":
        pixels = noise(0, 3).reshape(-1).tolist()
        many = 2**24 + SIDE**2 + 1
        first = pa.ListArray.from_arrays([0, many], zeros(many))
        groups = [first, pa.ListArray.from_arrays(np.arange(4) * SIDE**2, pa.array(pixels, pa.uint8()))]
        why = f"wrong size: {many} pixels in a row group of 1, expected {SIDE**2} in each"
    else:
        groups = [pa.array([bytes(2**25)]), pa.array([good] * 3)]
        why = "too large: 335544[0-9]{2} bytes in a row group of 1 rows"
    schema = pa.schema([("image", groups[0].type)] + ([("id", pa.string())] if ids else []))
    with pq.ParquetWriter(tmp_path / "x.parquet", schema, use_dictionary=False, compression="zstd") as writer:
        for cells, names in zip(groups, (ids[:1], ids[1:]) if ids else ((), ()), strict=True):
            writer.write_table(pa.Table.from_arrays([cells, pa.array(names)][: len(schema)], schema=schema))
    _, names, images, bad = everything([tmp_path / "x.parquet"], batch_size=500)
    ((row, told),) = bad
    assert row == 0
    assert re.fullmatch(why, told)
    assert names == (ids[1:] if ids else [f"{tmp_path / 'x.parquet'}#{row}" for row in (1, 2, 3)])
    np.testing.assert_array_equal(images, noise(0, 3) if kind == "lists" else noise(0, 1).repeat(3, axis=0))
    assert sum(rows for rows, _ in reads) == 3


def test_a_wrong_list_in_a_large_row_group_is_bad_alone(tmp_path, noise):
    count = 2**24 // SIDE**2 + 2
    pixels, ends = np.zeros(count * SIDE**2 + 1, np.uint8), np.arange(count + 1) * SIDE**2
    ends[-1] += 1
    pq.write_table(pa.table({"image": pa.ListArray.from_arrays(ends, pixels)}), tmp_path / "x.parquet")
    _, ids, _, bad = everything([tmp_path / "x.parquet"], batch_size=500)
    assert len(ids) == count - 1
    assert bad == [(count - 1, f"wrong size: {SIDE**2 + 1} pixels, expected {SIDE**2}")]


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
@pytest.mark.parametrize("column", ["id", "image"])
def test_encodings_without_a_dictionary_are_read(column, encoding, tmp_path, noise, encoded):
    images = noise(0, 60)
    table = pa.table({"id": [f"n{row}" for row in range(60)], "image": [encoded(image) for image in images]})
    how = {"use_dictionary": False, "column_encoding": {column: encoding}, "row_group_size": 25}
    pq.write_table(table, tmp_path / "x.parquet", **how)
    found, ids, read, bad = everything([tmp_path / "x.parquet"])
    check_ids(found.pieces, Columns())
    assert (ids, bad) == ([f"n{row}" for row in range(60)], [])
    np.testing.assert_array_equal(read, images)


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "PLAIN"])
def test_images_that_repeat_the_one_before_are_read_one_by_one(encoding, tmp_path, reads):
    how = {"use_dictionary": False, "column_encoding": {"image": encoding}}
    pq.write_table(pa.table({"image": [b"small"] * 300}), tmp_path / "x.parquet", **how)
    everything([tmp_path / "x.parquet"], batch_size=500)
    assert max(rows for rows, _ in reads) == (1 if encoding == "DELTA_BYTE_ARRAY" else parquet.FEW_ROWS)


@pytest.mark.parametrize("lists", [True, False])
def test_a_column_beside_the_images_may_have_a_name_like_theirs(lists, tmp_path, noise, encoded):
    images = noise(0, 3)
    cells = (
        images.reshape(3, -1).tolist() if lists else [{"bytes": encoded(image), "path": ""} for image in images]
    )
    kind = pa.list_(pa.uint8()) if lists else pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image.meta": ["x"] * 3, "image": pa.array(cells, kind)}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    np.testing.assert_array_equal(everything([tmp_path / "x.parquet"])[2], images)


@pytest.mark.parametrize("rows", [1, 4])
def test_ids_of_as_many_characters_as_may_be_pass(rows, tmp_path, noise, encoded):
    ids = [chr(0x1F600 + row) * 1024 for row in range(4)]
    table = pa.table({"id": ids, "image": [encoded(image) for image in noise(0, 4)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=rows)
    found, read, _, _ = everything([tmp_path / "x.parquet"])
    check_ids(found.pieces, Columns())
    assert read == ids


@pytest.mark.parametrize("dictionary", [True, False])
def test_ids_that_are_too_long_are_refused(dictionary, tmp_path, encoded, noise):
    table = pa.table(
        {"id": [str(row) for row in range(200)] + ["é" * 2049], "image": [encoded(noise(0, 1)[0])] * 201}
    )
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=dictionary)
    found = survey([str(tmp_path / "x.parquet")], Columns(), 50)
    message = r"x\.parquet: column `id` must hold 4096 bytes a row at most, received 4098"
    with pytest.raises(SemisynthError, match=message):
        check_ids(found.pieces, Columns())


def test_categories_may_be_ids(tmp_path, encoded, noise):
    ids = pa.array(["b", "a", None, "c"]).dictionary_encode()
    pq.write_table(pa.table({"id": ids, "image": [encoded(noise(0, 1)[0])] * 4}), tmp_path / "x.parquet")
    found, read, _, bad = everything([tmp_path / "x.parquet"])
    assert (read, bad) == (["b", "a", "c"], [(2, "null id")])
    check_ids(found.pieces, Columns())


def test_damaged_pixels_are_told_by_a_pages_checksum(tmp_path, noise):
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(noise(0, 50).reshape(-1)), SIDE**2)
    how = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table({"image": pixels}), tmp_path / "x.parquet", **how)
    everything([tmp_path / "x.parquet"])
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    content[9000] ^= 255
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(SemisynthError, match=r"x\.parquet: damaged near row 0 .*checksum"):
        everything([tmp_path / "x.parquet"])


def test_a_column_whose_name_is_no_utf_8_is_refused_in_one_line(tmp_path, encoded, noise):
    table = pa.table({"image": [encoded(noise(0, 1)[0])], "cafe": [1]})
    pq.write_table(table, tmp_path / "x.parquet", store_schema=False)
    content = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(content.replace(b"cafe", b"caf\xe9"))
    with pytest.raises(SemisynthError, match=r"x\.parquet: not a whole Parquet file \('utf-8' codec"):
        everything([tmp_path / "x.parquet"])


def npy(array, shape=None):
    """The bytes of an array in NumPy's format, which may promise another shape."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue().replace(str(array.shape).encode(), str(shape or array.shape).encode(), 1)


def save_members(path, method=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_npy", ".npy"), content)


def encrypt(path):
    """Set the flag of encryption in both headers of the only member."""
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


IMAGES = np.zeros((2, SIDE, SIDE), np.uint8)
VAST = (10**15, SIDE, SIDE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: save_members(path, images_npy=npy(IMAGES, VAST)), "takes .* bytes, the file ends before"),
        (lambda path: save_members(path, images_npy=npy(IMAGES, (10**15, 0, 0))), "shape .* expected"),
        (lambda path: save_members(path, images=npy(IMAGES)), "`images` is missing, found none"),
        (lambda path: save_members(path, zipfile.ZIP_LZMA, images_npy=npy(IMAGES)), "is packed by method 14"),
        (lambda path: [save_members(path, images_npy=npy(IMAGES)), encrypt(path)], "`images` is encrypted"),
        (lambda path: np.savez(path, images=np.zeros((2, SIDE, SIDE), "V0")), "values of no size"),
        (lambda path: np.savez(path, images=IMAGES, ids=np.zeros(2, "U2000")), "1024 characters at most"),
        (lambda path: save_members(path, images_npy=npy(IMAGES).replace(b"}", b" ")), "is not an array"),
        (
            lambda path: save_members(path, images_npy=npy(IMAGES).replace(b"'descr'", b"{'a':1}")),
            "is not an array",
        ),
    ],
)
def test_odd_archives_are_refused_in_one_line(make, message, tmp_path):
    make(tmp_path / "x.npz")
    with pytest.raises(SemisynthError, match=rf"x\.npz: .*{message}"):
        survey([str(tmp_path / "x.npz")], Columns(), 7)


def test_ids_that_no_text_can_hold_are_named(tmp_path):
    ids = np.array([65, 0x110000], np.uint32).view("U1")
    np.savez(tmp_path / "x.npz", images=IMAGES, ids=ids)
    with pytest.raises(SemisynthError, match=r"x\.npz: `ids` of rows 0 to 1 hold no Unicode text"):
        everything([tmp_path / "x.npz"])


def test_a_table_whose_path_is_no_utf_8_is_refused_in_one_line(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.parquet")
    path.write_bytes(b"PAR1")
    with pytest.raises(SemisynthError, match=r"caf.*\.parquet.*expected a path in UTF-8"):
        survey([str(path)], Columns(), 7)


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_that_promises_more_than_it_can_hold_is_refused(packed, tmp_path):
    content = np.array([IMAGES_MAGIC, 2**31, SIDE, SIDE], ">u4").tobytes() + bytes(100)
    (tmp_path / "x.idx").write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(SemisynthError, match=r"x\.idx: `images` .* the file ends before"):
        survey([str(tmp_path / "x.idx")], Columns(), 7)


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_that_goes_on_after_its_last_row_is_refused(packed, tmp_path, noise):
    content = np.array([IMAGES_MAGIC, 5, SIDE, SIDE], ">u4").tobytes() + noise(0, 6).tobytes()
    (tmp_path / "x.idx").write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(
        SemisynthError, match=r"x\.idx: `images` goes on after the 5 rows that its header promises"
    ):
        everything([tmp_path / "x.idx"])


def test_a_packed_idx_file_whose_digest_is_wrong_is_refused(tmp_path, noise):
    content = np.array([IMAGES_MAGIC, 5, SIDE, SIDE], ">u4").tobytes() + noise(0, 5).tobytes()
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1  # of the CRC
    (tmp_path / "x.idx").write_bytes(packed)
    with pytest.raises(SemisynthError, match=r"x\.idx: not a whole file \(CRC check failed"):
        everything([tmp_path / "x.idx"])


def test_an_output_folder_that_a_link_leads_to_is_refused(tmp_path, noise, encoded):
    folder = save_folder(tmp_path / "f", noise(0, 1), encoded)
    (tmp_path / "archive" / "out").mkdir(parents=True)
    (folder / "more").symlink_to(tmp_path / "archive")
    with pytest.raises(SemisynthError, match=r"out: expected an output folder outside of the input folder .*/f"):
        survey([str(folder)], Columns(), 7, tmp_path / "archive" / "out")


def test_a_table_that_may_not_be_read_is_not_called_damaged(tmp_path, noise, write_parquet, monkeypatch):
    path = write_parquet(tmp_path / "x.parquet", noise(0, 3))

    def refused(*arguments, **more):
        raise PermissionError(errno.EACCES, "Failed to open local file")

    monkeypatch.setattr(pq, "ParquetFile", refused)
    with pytest.raises(SemisynthError, match=r"x\.parquet: Permission denied$"):
        survey([str(path)], Columns(), 7)


def test_an_array_with_a_header_of_a_later_version_is_refused(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, IMAGES, version=(2, 0))
    save_members(tmp_path / "x.npz", images_npy=stream.getvalue())
    with pytest.raises(SemisynthError, match=r"`images` is not an array .*version 2\.0, expected 1\.0"):
        survey([str(tmp_path / "x.npz")], Columns(), 7)


def test_empty_files_have_no_rows_and_stop_nothing(tmp_path, noise, write_parquet):
    np.savez(tmp_path / "a.npz", images=IMAGES[:0], ids=np.array([], str))
    (tmp_path / "b.idx").write_bytes(np.array([IMAGES_MAGIC, 0, SIDE, SIDE], ">u4").tobytes())
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "c.parquet")
    full = write_parquet(tmp_path / "d.parquet", noise(0, 3))
    found = survey([str(tmp_path / name) for name in ("a.npz", "b.idx", "c.parquet")] + [full], Columns(), 7)
    assert [one["rows"] for one in found.inputs] == [0, 0, 0, 3]
    assert len(everything([tmp_path / "*.*"])[1]) == 3
    with pytest.raises(SemisynthError, match="expected images to score, found no rows"):
        survey([str(tmp_path / "a.npz")], Columns(), 7)


@pytest.mark.usefixtures("_unread")
def test_other_types_than_numbers_are_bad_and_not_read(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, SIDE, SIDE), "U9"))
    assert everything([tmp_path / "x.npz"])[3] == [(row, "wrong dtype: <U9, expected uint8") for row in range(2)]


def negative():
    """An array that promises a number of rows below 0."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (-5, 4, 4)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("no", lambda path: None, r"no: no such file or folder"),
        ("x.bin", lambda path: path.write_bytes(b"abcdef"), r"expected Parquet, NPZ, IDX, PNG or JPEG, received"),
        ("x.parquet", lambda path: path.write_bytes(b"PAR1 and more"), r"x\.parquet: not a whole Parquet file"),
        ("x.npz", lambda path: path.write_bytes(b"PK and more"), r"x\.npz: not a whole file"),
        ("x.npz", lambda path: np.savez(path, pictures=[1]), r"array `images` is missing, found pictures"),
        ("x.npz", lambda path: np.savez(path, images=np.array([{}])), r"`images` holds pickled objects"),
        ("x.npz", lambda path: np.savez(path, images=np.zeros(3)), r"shape \(n, height, width\) expected"),
        (
            "x.npz",
            lambda path: np.savez(path, images=np.zeros((2, 20, 20), np.uint8), ids=["a"]),
            r"`ids` must be 2 strings or integers",
        ),
        ("x.idx", lambda path: path.write_bytes(bytes(20)), r"expected magic number 2051|2051 .*expected"),
        ("x.gz", lambda path: path.write_bytes(gzip.compress(b"short")), r"x\.gz: not a whole file"),
        ("f", lambda path: path.mkdir(), r"f: expected images to score, found no rows"),
        (
            "x.parquet",
            lambda path: pq.write_table(pa.table({"picture": [b""]}), path),
            r"x\.parquet: column `image` is missing, found picture",
        ),
        (
            "x.parquet",
            lambda path: pq.write_table(pa.table({"image": ["text"]}), path),
            r"`image` must hold PNG or JPEG bytes or lists of uint8, received string",
        ),
        (
            "x.parquet",
            lambda path: pq.write_table(pa.table({"image": [b""], "id": [0.5]}), path),
            r"`id` must hold strings or integers, received double",
        ),
        (
            "x.parquet",
            lambda path: pq.write_table(pa.table([[b""], [b""]], names=["image", "image"]), path),
            r"x\.parquet: one column `image` expected, received 2",
        ),
        ("x.npz", lambda path: save_members(path, images_npy=negative()), r"shape \(n, height, width\) expected"),
    ],
)
def test_what_is_no_input_is_named_before_anything_is_read(name, make, message, tmp_path):
    make(tmp_path / name)
    with pytest.raises(SemisynthError, match=message):
        survey([str(tmp_path / name)], Columns(), 7)


def test_a_missing_column_of_ids_is_an_error_only_where_it_was_asked_for(tmp_path, noise, write_parquet):
    path = write_parquet(tmp_path / "x.parquet", noise(0, 3))
    with pytest.raises(SemisynthError, match="column `key` is missing, found image"):
        survey([path], Columns(id="key"), 7)
    np.savez(tmp_path / "x.npz", images=noise(0, 3))
    with pytest.raises(SemisynthError, match="has no array `ids`"):
        survey([str(tmp_path / "x.npz")], Columns(id="key"), 7)


@pytest.mark.parametrize("name", ["x.npz", "x-idx3-ubyte.gz", "x-idx3-ubyte"])
def test_a_file_that_ends_too_early_is_named(name, tmp_path, noise):
    path = tmp_path / name
    if name == "x.npz":
        np.savez_compressed(path, images=noise(0, 40))
        content = bytearray(path.read_bytes())
        content[2000:2100] = bytes(100)
        path.write_bytes(content)
    else:
        write_idx(path, noise(0, 40))
        half(path)
    with pytest.raises(SemisynthError, match=f"{name}: "):
        everything([path])


@pytest.mark.parametrize("damage", ["pixel", "more"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_array_is_refused_before_any_of_its_rows_is_scored(damage, method, tmp_path, noise):
    content = npy(noise(0, 40))
    save_members(tmp_path / "x.npz", method, images_npy=content + b"more" * (damage == "more"))
    if damage == "pixel":
        with zipfile.ZipFile(tmp_path / "x.npz") as archive:
            crc = archive.getinfo("images.npy").CRC.to_bytes(4, "little")
        whole = (tmp_path / "x.npz").read_bytes()
        (tmp_path / "x.npz").write_bytes(whole.replace(crc, bytes([crc[0] ^ 1]) + crc[1:]))
    message = "not a whole file .*CRC" if damage == "pixel" else "`images` goes on after the 40 rows"
    with pytest.raises(SemisynthError, match=rf"x\.npz: {message}"):
        survey([str(tmp_path / "x.npz")], Columns(), 10)


def test_what_follows_the_last_row_is_not_read_to_its_end(tmp_path, noise, monkeypatch):
    content = np.array([IMAGES_MAGIC, 5, SIDE, SIDE], ">u4").tobytes() + noise(0, 5).tobytes()
    (tmp_path / "x.idx").write_bytes(gzip.compress(content + bytes(10**6)))
    calls, plain = [], gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size: calls.append(size) or plain(self, size))
    with pytest.raises(SemisynthError, match="goes on after the 5 rows"):
        survey([str(tmp_path / "x.idx")], Columns(), 10)
    assert len(calls) == 3  # the header, the rows, a byte more


def test_an_archive_whose_directory_lies_before_its_start_is_named(tmp_path, noise):
    np.savez(tmp_path / "x.npz", images=noise(0, 4))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    at = content.rindex(b"PK\x05\x06") + 16
    content[at : at + 4] = (int.from_bytes(content[at : at + 4], "little") + 9).to_bytes(4, "little")
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(SemisynthError, match=r"x\.npz: not a whole file \("):
        survey([str(tmp_path / "x.npz")], Columns(), 10)


def test_a_damaged_row_group_is_named(tmp_path, noise, write_parquet):
    path = write_parquet(tmp_path / "x.parquet", noise(0, 40), group=10)
    with (tmp_path / "x.parquet").open("r+b") as stream:
        stream.seek(4)  # the first page's header
        stream.write(b"\xff" * 40)
    with pytest.raises(SemisynthError, match=r"x\.parquet: damaged near row"):
        everything([path])
