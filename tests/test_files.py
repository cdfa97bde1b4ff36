import errno
import os

import pytest

from napari_alseg import files
from napari_alseg.errors import CannotWrite


def test_a_file_is_replaced_whole(tmp_path):
    file = tmp_path / "run.json"
    for content in ("zwölf", b"\0\1"):
        files.write_whole(file, content)
        read = file.read_bytes()
        assert read == (content.encode() if isinstance(content, str) else content)
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_cannot_be_written_leaves_the_older_file(tmp_path, monkeypatch):
    file = tmp_path / "run.json"
    files.write_whole(file, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "run.json")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match=r"No space.*make room"), files.writing(file):
        files.write_whole(file, "new")
    assert file.read_text() == "old"


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(OSError, match="odd") as caught, files.writing(tmp_path):
        raise OSError(errno.EINVAL, "odd")
    assert not isinstance(caught.value, CannotWrite)
