"""What users get wrong: each case ends with one line that helps, and leaves nothing behind."""

import gzip
import json
import shutil

import numpy as np
import pytest
from cli_cases import bars, idx

ROWS = "0,1,0\n5,6,1\n7,8,0\n3,2,1\n4,4,0\n9,1,1\n"


def text(content, **_):
    return lambda folder: (folder / "d.csv").write_bytes(content.encode())


def archive(**arrays):
    return lambda folder: np.savez(folder / "d.npz", **arrays)


def cut_archive(folder):
    archive(X=np.zeros((9, 4)), y=np.arange(9) % 3)(folder)
    content = (folder / "d.npz").read_bytes()
    (folder / "d.npz").write_bytes(content[: len(content) // 2])


def pictures(change=None, **replaced):
    """A folder of idx files in which ``change`` or other bytes break something."""

    def make(folder):
        X, y = bars(12, 0)
        files = {"train-images-idx3-ubyte": idx(X), "train-labels-idx1-ubyte": idx(y)}
        files.update({name.replace("_", "-"): value for name, value in replaced.items()})
        if change is not None:
            change(files)
        (folder / "d").mkdir()
        for name, content in files.items():
            if content is not None:
                (folder / "d" / name).write_bytes(content)

    return make


def zipped_and_cut(files):
    content = gzip.compress(files.pop("train-images-idx3-ubyte"))
    files["train-images-idx3-ubyte.gz"] = content[:-20]


X4 = np.zeros((9, 4))
Y3 = np.arange(9) % 3
IMAGES = idx(bars(12, 0)[0])
OBJECTS = np.array([{"a": 1}] * 9, dtype=object)

# name: (what makes the data, more words, exit code, what the line must say)
BAD_DATA = {
    "missing file": (None, ["--data", "nowhere.csv"], "nowhere.csv: no such file or folder"),
    "misspelt name": (None, ["--data", "digit"], "did you mean digits?"),
    "empty csv": (text(""), [], "d.csv: is empty"),
    "header alone": (text("a,b,c\n"), [], "d.csv: has a header but no examples"),
    "ragged csv": (text(ROWS + "1,2\n"), [], "d.csv, line 7: 2 values, the lines before have 3"),
    "too long a line": (text(ROWS + "1,2,3,4\n"), [], "line 7: 4 values"),
    "nan": (text(ROWS + "1,nan,0\n"), [], "line 7, column 2: 'nan' is not a finite number"),
    "infinity": (text("a,b,c\n1,inf,0\n"), [], "line 2, column 2 (b): 'inf' is not a finite"),
    "empty cell": (text(ROWS + "1,,0\n"), [], "line 7, column 2: empty cell"),
    "a word": (text(ROWS + "1,two,0\n"), [], "line 7, column 2: 'two' is not a number"),
    "one column": (text("1\n2\n"), [], "expected features and a label"),
    "label is a fraction": (text(ROWS + "1,2,0.5\n"), [], "must be integers, example 7 has 0.5"),
    "label below zero": (text(ROWS + "1,2,-1\n"), [], "within 0 .. 9999, example 7 has -1"),
    "label too large": (text(ROWS + "1,2,12345\n"), [], "within 0 .. 9999, example 7 has 12345"),
    "label beyond --classes": (
        text(ROWS + "1,2,2\n"),
        ["--classes", "2"],
        "within 0 .. 1, example 7 has 2",
    ),
    "one class": (text(ROWS.replace("1\n", "0\n")), [], "expected at least two classes"),
    "no such label column": (
        text(ROWS),
        ["--label-column", "kind"],
        "no label column 'kind'; expected first, last or 1 .. 3 (the file has no header)",
    ),
    "label column beyond": (text("a,b,c\n" + ROWS), ["--label-column", "4"], "column '4'"),
    "not text": (lambda f: (f / "d.csv").write_bytes(b"\xff\xfe\x00\x81" * 9), [], "not UTF-8"),
    "too few": (text("1,2,0\n3,4,1\n"), [], "2 examples are too few"),
    "a picture shape that does not fit": (
        text(ROWS),
        ["--image-shape", "2x2"],
        "pictures of 2 x 2 have 4 pixels, the examples have 2 features",
    ),
    "npz without X": (archive(a=X4, b=Y3), [], "it holds a, b"),
    "npz of unequal lengths": (archive(X=X4, y=Y3[:8]), [], "X has 9 examples, y has shape [8]"),
    "npz with nan": (archive(X=X4 * np.nan, y=Y3), [], "X[0, 0] is nan, not a finite number"),
    "npz of text": (archive(X=X4.astype(str), y=Y3), [], "X must hold numbers"),
    "npz of objects": (archive(X=OBJECTS, y=Y3), [], "(pickles), which are refused"),
    "npz of four dimensions": (archive(X=np.zeros((9, 2, 2, 2)), y=Y3), [], "it is [9, 2, 2, 2]"),
    "npz without examples": (archive(X=X4[:0], y=Y3[:0]), [], "holds no examples"),
    "npz with labels of text": (archive(X=X4, y=Y3.astype(str)), [], "labels must be integers"),
    "npz with half a test part": (
        archive(x_train=X4, y_train=Y3, x_test=X4),
        [],
        "has x_test but not y_test",
    ),
    "npz with other test features": (
        archive(x_train=X4, y_train=Y3, x_test=X4[:, :3], y_test=Y3),
        [],
        "x_train has 4 features, x_test 3",
    ),
    "npz cut short": (cut_archive, [], "not an .npz archive (or one cut short)"),
    "empty folder": (lambda f: (f / "d").mkdir(), [], "found neither"),
    "images without labels": (
        pictures(train_labels_idx1_ubyte=None),
        [],
        "but not train-labels-idx1-ubyte[.gz]",
    ),
    "idx cut short": (
        pictures(train_images_idx3_ubyte=IMAGES[:-5]),
        [],
        "truncated: the header promises 12 x 6 x 6 = 432 bytes, 427 follow",
    ),
    "idx with more": (pictures(train_images_idx3_ubyte=IMAGES + b"!!"), [], "too long"),
    "idx of ten bytes": (pictures(train_images_idx3_ubyte=IMAGES[:10]), [], "header has 16"),
    "labels in place of images": (
        pictures(train_images_idx3_ubyte=idx(np.arange(12)) + bytes(8)),
        [],
        "wrong magic number 0x00000801, expected 0x00000803",
    ),
    "idx of huge promises": (
        pictures(train_images_idx3_ubyte=IMAGES[:4] + b"\xff" * 12),
        [],
        "4294967295 x 4294967295 x 4294967295",
    ),
    "gzip cut short": (pictures(zipped_and_cut), [], "damaged or truncated gzip"),
    "idx of unequal counts": (
        pictures(train_labels_idx1_ubyte=idx(np.arange(11) % 3)),
        [],
        "holds 12 pictures, train-labels-idx1-ubyte 11 labels",
    ),
    "one idx file": (
        lambda f: (f / "d-ubyte").write_bytes(IMAGES),
        [],
        "name the folder that holds them",
    ),
    "a zipped table": (lambda f: (f / "d.csv.gz").write_bytes(b""), [], "cannot read .gz"),
    "test data of another width": (
        lambda f: (text(ROWS)(f), (f / "t.csv").write_text("1,0\n2,1\n")),
        ["--test-data", "t.csv"],
        "t.csv: 1 features, d.csv has 2",
    ),
    "threshold that is no number": (text(ROWS), ["--threshold", "nan"], "threshold"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case, polyad, tmp_path, monkeypatch):
    make, words, line = BAD_DATA[case]
    monkeypatch.chdir(tmp_path)
    if make is not None:
        make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    if "--data" not in words:
        words = ["--data", next(path.name for path in before if path.name.startswith("d")), *words]
    result = polyad("train", "hypernet", "--out", "run", *words)
    assert result.code == 1
    assert_one_line(result, line)
    assert sorted(tmp_path.rglob("*")) == before


def assert_one_line(result, line):
    assert line in result.err
    assert result.err.startswith("polyad: ")
    assert result.err.count("\n") == 1
    assert result.out == ""


TRAIN = ["train", "hypernet"]
GOOD = [*TRAIN, "--data", "d.csv", "--out", "run"]

BAD_ARGUMENTS = {
    "unknown command": (["bogus"], "No such command 'bogus'"),
    "unknown model": (["train", "ntn"], "No such command 'ntn'"),
    "unknown option": ([*GOOD, "--epoch", "3"], "--epoch"),
    "no run folder": ([*TRAIN, "--data", "d.csv"], "Missing option '--out'"),
    "no data": ([*TRAIN, "--out", "run"], "say what to learn from"),
    "epochs of letters": ([*GOOD, "--epochs", "ten"], "--epochs"),
    "negative epochs": ([*GOOD, "--epochs", "-1"], "--epochs"),
    "no thread": ([*GOOD, "--threads", "0"], "--threads"),
    "negative seed": ([*GOOD, "--seed", "-1"], "--seed"),
    "unknown encoder": ([*GOOD, "--encoder", "onehot"], "expected binary or thermometer"),
    "unknown objective": ([*GOOD, "--objective", "loss"], "expected votes or likelihood"),
    "orders of letters": ([*GOOD, "--orders", "3,k"], "got '3,k'"),
    "order zero": ([*GOOD, "--orders", "0"], "at least 1"),
    "tolerance below zero": ([*GOOD, "--tolerance", "-1"], "expected a count or a share below 1"),
    "broken tolerance": ([*GOOD, "--tolerance", "1.5"], "expected a count or a share below 1"),
    "malformed shape": ([*GOOD, "--image-shape", "28"], "HEIGHTxWIDTH such as 28x28"),
    "resume with settings": (
        [*TRAIN, "--out", "run", "--resume", "--epochs", "9"],
        "--resume goes on with RUN's own settings; leave out --epochs",
    ),
    "resume with the default seed": (
        [*TRAIN, "--out", "run", "--resume", "--seed", "0"],
        "leave out --seed",
    ),
    "hide nothing": (["recall", "run", "--hide", "0"], "above 0 and up to 1"),
    "hide more than all": (["recall", "run", "--hide", "1.5"], "above 0 and up to 1"),
    "hide nan": (["recall", "run", "--hide", "nan"], "above 0 and up to 1"),
    "no picture": (["recall", "run", "--count", "0"], "--count"),
    "shape without data": (["evaluate", "run", "--image-shape", "2x2"], "describe --data"),
    "unknown family": (["bench", "capsules"], "no family 'capsules'"),
    "threads of letters": (["bench", "hypernet", "--threads", "two"], "got 'two'"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case, polyad, tmp_path, monkeypatch):
    words, line = BAD_ARGUMENTS[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(ROWS)
    result = polyad(*words)
    assert result.code == 2
    assert_one_line(result, line)
    assert "(see 'polyad" in result.err
    assert "--help')" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["d.csv"]


def edit(name, change):
    """Change a JSON file of the run."""

    def apply(run):
        content = json.loads((run / name).read_text())
        change(content)
        (run / name).write_text(json.dumps(content))

    return apply


def cut(name):
    def apply(run):
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])

    return apply


def put(name, content):
    return lambda run: (run.parent / name).write_text(content)


# name: (what breaks the run, words, what the line must say)
BAD_RUNS = {
    "no such run": (None, ["evaluate", "nowhere"], "nowhere: no such folder"),
    "not a run": (None, ["recall", "."], ".: not a run (it has no settings.json)"),
    "settings cut short": (cut("settings.json"), ["evaluate", "run"], "settings.json: damaged"),
    "settings of a list": (
        put("run/settings.json", "[]"),
        ["evaluate", "run"],
        "damaged (expected an object)",
    ),
    "a later format": (
        edit("settings.json", lambda c: c.update(format_version=2)),
        ["evaluate", "run"],
        "has format_version 2, this polyad",
    ),
    "an unknown model": (
        edit("settings.json", lambda c: c.update(model="gpt")),
        ["evaluate", "run"],
        "is a run of 'gpt'",
    ),
    "no checkpoint": (
        lambda run: (run / "model.npz").unlink(),
        ["recall", "run"],
        "before its first checkpoint",
    ),
    "checkpoint cut short": (cut("model.npz"), ["evaluate", "run"], "model.npz: damaged"),
    "metrics cut short": (cut("metrics.json"), ["recall", "run"], "metrics.json: damaged"),
    "a setting that is missing": (
        edit("settings.json", lambda c: c.pop("encoding")),
        ["recall", "run"],
        "settings.json: damaged (encoding)",
    ),
    "data that has changed": (
        edit("settings.json", lambda c: c["data"].update(fingerprint="0")),
        ["recall", "run"],
        "has changed since run was trained",
    ),
    "data that has gone": (
        edit("settings.json", lambda c: c["data"].update(source="gone.csv")),
        ["evaluate", "run"],
        "gone.csv: no such file",
    ),
    "other data of another width": (
        put("other.csv", "1,2,0\n"),
        ["evaluate", "run", "--data", "other.csv"],
        "other: has 2 features, run was trained on 36",
    ),
    "other data of another class": (
        put("other.csv", ",".join(["0"] * 36 + ["7"])),
        ["evaluate", "run", "--data", "other.csv"],
        "label 7 of example 1 is not among the classes of run (0, 1, 2)",
    ),
    "too little to hide": (None, ["recall", "run", "--hide", "0.001"], "hides none of them"),
    "a run is there": (None, GOOD, "--resume continues it, --force replaces it"),
    "the folder is a file": (None, [*GOOD[:-1], "d.csv"], "is a file; a run is a folder"),
    "the folder is someone's": (
        put("mine/letter.txt", "dear"),
        [*GOOD[:-1], "mine", "--force"],
        "holds files that are not a run's",
    ),
    "below a file": (None, [*GOOD[:-1], "d.csv/run"], "d.csv"),
    "resume what has finished": (
        None,
        [*TRAIN, "--out", "run", "--resume"],
        "has finished training; nothing to resume",
    ),
    "resume nothing": (None, [*TRAIN, "--out", "nowhere", "--resume"], "no such folder"),
    "rows to nowhere": (None, ["bench", "hypernet", "--json", "no/r.json"], "no such folder"),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_bad_runs(case, polyad, trained, tmp_path, monkeypatch):
    breaks, words, line = BAD_RUNS[case]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "d.csv").write_text(ROWS)
    (tmp_path / "mine").mkdir()
    if breaks is not None:
        breaks(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = polyad(*words)
    assert result.code == 1
    assert_one_line(result, line)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_missing_extra(polyad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in ("sklearn.datasets", "matplotlib"):
        with monkeypatch.context() as hidden:
            hidden.setitem(__import__("sys").modules, module, None)
            result = polyad("demo")
            assert result.code == 1
            assert_one_line(result, "pip install 'polyad[demo]'")
    assert not any(tmp_path.iterdir())


def test_debug_shows_where(polyad):
    for words in (["--debug", "evaluate", "nowhere"], ["evaluate", "nowhere", "--debug"]):
        result = polyad(*words)
        assert result.code == 1
        assert "Traceback" in result.err
        assert result.err.rstrip().splitlines()[-1].startswith("polyad: nowhere: no such folder")


def test_a_defect_is_one_line_too(polyad, monkeypatch):
    def broken():
        raise KeyError("inside")

    monkeypatch.setattr("polyad.config", broken)
    result = polyad("info")
    assert result.code == 1
    assert_one_line(result, "internal error: KeyError: 'inside' (--debug shows where)")
