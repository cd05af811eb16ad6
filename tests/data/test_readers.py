import gzip
import struct

import numpy as np
import pytest

from polyad.data import DataError, load, load_test


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


ROWS = "0,1,0\n5,6,1\n7,8,0\n3,2,1\n4,4,0\n9,1,1\n"


def values(path, **options):
    data = load_test(path, **options)  # a table has no test part: everything
    return data.X.tolist(), data.y.tolist()


FEATURES = [[0, 1], [5, 6], [7, 8], [3, 2], [4, 4], [9, 1]]
LABELS = [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        "a,b,c\n" + ROWS,
        ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\n\n"),
        ROWS.rstrip(),
        "\ufeff" + ROWS,
        ROWS.replace("5", '"5"').replace("6", " 6 "),
    ],
    ids=["plain", "header", "semicolon", "tab", "crlf", "blank", "no-newline", "bom", "quoted"],
)
def test_csv_spellings_of_one_table(table, text):
    assert values(table(text)) == (FEATURES, LABELS)


def test_csv_label_column(table):
    first = "0,0,1\n1,5,6\n0,7,8\n1,3,2\n0,4,4\n1,9,1\n"
    for text, column in [
        (first, "first"),
        (first, "1"),
        ("b,p,q\n" + first, "b"),
        ("Class,p,q\n" + first, None),
        ("label,p,class2\n" + first, None),
        (ROWS, "last"),
        (ROWS, "3"),
        ("p,q,r\n" + ROWS, None),
    ]:
        assert values(table(text), label_column=column) == (FEATURES, LABELS), (text, column)


def test_csv_header_names_the_features(table):
    data = load_test(table("label,width,height\n1,2,3\n0,4,5\n"))
    assert data.feature_names == ("width", "height")


def test_csv_keeps_small_integers_as_bytes_and_the_rest_as_floats(table):
    assert load_test(table(ROWS)).X.dtype == np.uint8
    assert load_test(table(ROWS.replace("5", "-5"))).X.dtype == np.float64
    assert load_test(table(ROWS.replace("5", "5.5"))).X[1, 0] == 5.5
    assert load_test(table(ROWS.replace("5", "256"))).X[1, 0] == 256


def test_csv_longer_than_a_block(table):
    lines = [f"{i % 7},{i},{i % 2}" for i in range(3000)]
    lines[2500] = "0.5,2500,0"
    data = load_test(table("\n".join(lines)))
    assert data.X[:, 1].tolist() == list(range(3000))
    assert data.X[2500, 0] == 0.5
    lines[2600] = "0,oops,1"
    with pytest.raises(DataError, match=r"line 2601, column 2: 'oops' is not a number"):
        load_test(table("\n".join(lines)))


def test_npz_pictures_become_rows(tmp_path):
    X = np.arange(6 * 2 * 3, dtype=np.int64).reshape(6, 2, 3)
    np.savez(tmp_path / "a.npz", X=X, y=np.array([0, 1] * 3))
    data = load_test(tmp_path / "a.npz")
    assert data.image_shape == (2, 3)
    assert data.X.tolist() == X.reshape(6, 6).tolist()


def test_npz_with_test_part(tmp_path):
    rng = np.random.default_rng(0)
    parts = {
        "x_train": rng.random((8, 4)),
        "y_train": rng.integers(0, 3, 8),
        "x_test": rng.random((5, 4)),
        "y_test": rng.integers(0, 3, 5),
    }
    np.savez(tmp_path / "a.npz", **parts)
    split = load(tmp_path / "a.npz")
    assert np.array_equal(split.train.X, parts["x_train"])
    assert np.array_equal(split.test.y, parts["y_test"])
    assert np.array_equal(load_test(tmp_path / "a.npz").X, parts["x_test"])


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_folder(tmp_path, zipped, separator):
    rng = np.random.default_rng(1)
    arrays = {}
    for part, count in (("train", 9), ("t10k", 4)):
        arrays[f"{part}-images"] = rng.integers(0, 256, (count, 3, 2))
        arrays[f"{part}-labels"] = rng.integers(0, 3, count)
    for name, array in arrays.items():
        content = idx(array)
        path = tmp_path / f"{name}{separator}idx{array.ndim}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)
    split = load(tmp_path)
    assert split.train.image_shape == (3, 2)
    assert np.array_equal(split.train.X, arrays["train-images"].reshape(9, 6))
    assert np.array_equal(split.test.y, arrays["t10k-labels"])


def test_test_data_from_another_file(table):
    train = table(ROWS)
    test = table("1,1,1\n2,2,0\n", name="other.csv")
    split = load(train, test=test)
    assert len(split.train) == 6
    assert split.test.X.tolist() == [[1, 1], [2, 2]]
