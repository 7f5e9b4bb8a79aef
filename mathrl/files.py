"""Writing a file whole or not at all."""

import os
from pathlib import Path

from mathrl.errors import StorageError


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
