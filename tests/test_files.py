"""Files that appear whole: where they cannot, the message has the name that was given."""

from contextlib import suppress

import pytest

from polyad._files import written_whole


def test_it_appears_whole(tmp_path):
    path = tmp_path / "a"
    path.write_text("earlier")
    with suppress(KeyError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "earlier"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_no_folder_and_a_folder_are_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, error, name in (
        (tmp_path / "no" / "a", FileNotFoundError, tmp_path / "no"),
        (tmp_path, IsADirectoryError, tmp_path),
        (tmp_path.relative_to(tmp_path), IsADirectoryError, "."),
    ):
        with pytest.raises(error) as raised, written_whole(path):
            raise AssertionError("the work began")
        assert raised.value.filename == str(name)


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path):
    path = tmp_path / "folder" / "a"
    path.parent.mkdir()

    def write_without_a_folder():
        with written_whole(path) as temporary:
            path.parent.rmdir()
            temporary.open("w")

    with pytest.raises(FileNotFoundError) as raised:
        write_without_a_folder()
    assert raised.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as raised, written_whole(tmp_path / "a"):
        (tmp_path / "b").open()
    assert raised.value.filename == str(tmp_path / "b")


def test_names_may_be_as_long_as_the_system_has_them(tmp_path):
    path = tmp_path / ("a" * 255)
    with written_whole(path) as temporary:
        temporary.write_text("text")
    assert path.read_text() == "text"
