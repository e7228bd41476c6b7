"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from musket.core.errors import ArtifactError

_IN_WORDS = {
    errno.ENOSPC: "the disk is full; free some space and resume: nothing already written was lost",
    errno.EDQUOT: "the disk quota is used up; free some space and resume: nothing already written was lost",
    errno.EFBIG: "the file would pass the size limit of this process or file system; nothing already written was lost",
    errno.EROFS: "the file system is read-only; copy the experiment to a folder that can be written",
    errno.EACCES: "no permission to write here; change the permissions or copy the experiment elsewhere",
    errno.EPERM: "no permission to write here; change the permissions or copy the experiment elsewhere",
}


def in_words(error: OSError) -> str:
    """What an operating-system error means for the user."""
    return _IN_WORDS.get(error.errno or 0, error.strerror or str(error))


def write_atomic(path: str | Path, content: bytes | str | Callable[[Path], object]) -> None:
    """Write beside, fsync, rename: a kill at any moment leaves the old file or the new one.

    Args:
        path: file to appear; missing parent folders are made.
        content: bytes, text (UTF-8), or a function that writes the file whose path it is given.

    Raises:
        ArtifactError: the file cannot be written; the old one, if any, is untouched.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            with open(beside, "wb") as file:
                mode = os.fstat(file.fileno()).st_mode
            content(beside)
            beside.chmod(stat.S_IMODE(mode))  # some libraries write files that only their owner can read
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
        else:
            with open(beside, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ArtifactError(f"cannot be written: {in_words(error)}", path) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can (Windows and some network folders cannot)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
