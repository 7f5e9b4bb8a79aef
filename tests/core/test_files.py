"""Files are replaced whole, and nothing but a file is replaced."""

import os
from pathlib import Path

import pytest

from mathrl.errors import StorageError
from mathrl.files import write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, "long before")
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_regular_file_stays_what_it_is(tmp_path: Path) -> None:
    pipe, folder, link = (tmp_path / name for name in ("pipe", "folder", "link"))
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(pipe)
    before = sorted(tmp_path.iterdir())
    for path in (pipe, folder, link):
        with pytest.raises(StorageError, match=f"{path}: cannot write .*no regular file"):
            write_whole(path, "text")
    assert sorted(tmp_path.iterdir()) == before
    assert pipe.is_fifo() and folder.is_dir() and link.is_symlink()
