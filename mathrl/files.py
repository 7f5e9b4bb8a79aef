"""Writing a file whole or not at all, and a folder by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mathrl.errors import ConfigError, StorageError


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a kill or a full disk leaves what was there before.

    Args:
        path: The file; its folder is made where it is missing.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        StorageError: The disk refused, or the path is a folder, a device or a pipe.
    """
    # A new file would take the place of a device: /dev/full were an ordinary file from then on.
    if os.path.exists(path) and not os.path.isfile(path):
        raise StorageError(f"{path}: cannot write (it is there already and is no regular file)")
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")  # a process has its own
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):  # there may be none, and the folder may be a file
            draft.unlink()
        raise StorageError(f"{path}: cannot write ({error.strerror})") from error


@contextmanager
def turn_in(folder: Path) -> Iterator[None]:
    """Wait until no other process has its turn in a folder: for reading a file and replacing it.

    Raises:
        StorageError: The disk refused.
    """
    import fcntl  # not on Windows, where this module only has to be importable

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".turn").open("w")
    except OSError as error:
        raise StorageError(f"{folder}: cannot write ({error.strerror})") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def only_process_in(folder: Path, *, share: str | None = None) -> Iterator[None]:
    """Keep other processes that ask for it out of a folder within the block; a kill lets go too.

    Args:
        folder: Made where it is missing.
        share: Names a share of the work: processes with different shares are let in together.

    Raises:
        ConfigError: Another process is in it.
        StorageError: The disk refused.
    """
    import fcntl  # not on Windows, where this module only has to be importable

    locks = [(".lock", fcntl.LOCK_EX)]
    if share is not None:
        locks = [(".lock", fcntl.LOCK_SH), (f".lock-{share}", fcntl.LOCK_EX)]
    with ExitStack() as held:
        for name, mode in locks:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                file = held.enter_context((folder / name).open("w"))
            except OSError as error:
                raise StorageError(f"{folder}: cannot write ({error.strerror})") from error
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"another process is at work in {folder}: wait for it, or choose another folder"
                ) from error
        yield
