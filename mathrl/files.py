"""Writing a file whole or not at all, and a folder by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mathrl.errors import ConfigError, StorageError


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a kill or a full disk leaves what was there before.

    Args:
        path: The file; its folder is made where it is missing.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        StorageError: The disk refused.
    """
    draft = path.with_name(f".draft-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StorageError(f"{path}: cannot write ({error.strerror})") from error


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for it out of a folder within the block; a kill lets go too.

    Raises:
        ConfigError: Another process is in it.
        StorageError: The disk refused.
    """
    import fcntl  # not on Windows, where this module only has to be importable

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise StorageError(f"{folder}: cannot write ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process is at work in {folder}: wait for it, or choose another folder"
            ) from error
        yield
