"""Files from elsewhere: downloads that go on where they stopped, and archives unpacked into a folder, nowhere else."""

from __future__ import annotations

import contextlib
import http.client
import os
import posixpath
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from musket.artifacts.files import in_words
from musket.core.errors import DataError

SILENCE = 60.0
"""Seconds a server may say nothing before the download is given up."""

_CHUNK = 1 << 20

OnBytes = Callable[[int, int | None], object]
"""Is told how many bytes are there, and how many there will be (None: the server does not say)."""


def name_in(url: str) -> str:
    """The file name at the end of an address. Raises DataError where there is none."""
    name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).replace("\\", "_")
    if name in ("", ".", "..") or "\0" in name:
        raise DataError("the address ends without a file name; give the address of a file", path=url)
    return name


def fetch(url: str, folder: Path, on_bytes: OnBytes = lambda done, total: None) -> list[Path]:
    """Download a file into a folder; a ``.zip`` is unpacked there, and removed.

    Returns:
        the files that are there now.

    Raises:
        DataError: it cannot be had, or written, or unpacked.
    """
    path = download(url, folder, on_bytes)
    if path.suffix.lower() != ".zip":
        return [path]
    try:
        return unpack(path, folder)
    finally:
        path.unlink(missing_ok=True)  # a damaged one too: the next call gets it anew


def download(url: str, folder: Path, on_bytes: OnBytes = lambda done, total: None) -> Path:
    """Download a file; one that was begun before goes on where it stopped, if the server still has the same.

    The file appears when it is complete. Until then ``.NAME.part`` holds what is there, and ``.NAME.part.tag`` which
    state of the file it is of.

    Args:
        url: ``http://`` or ``https://``.
        folder: where the file goes; made when it is not there.

    Raises:
        DataError: the server has no such file, cannot be reached, or ended early; the file cannot be written.
    """
    path = folder / name_in(url)
    part, tag = (path.with_name(f".{path.name}.part{end}") for end in ("", ".tag"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(_opened(url, part, tag)) as response:
            done = part.stat().st_size if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            if not done:
                _note(tag, response.headers)
            left = response.headers.get("Content-Length") or ""
            total = done + int(left) if left.isdecimal() else None
            with open(part, "ab" if done else "wb") as file:
                for chunk in _received(response, url):
                    file.write(chunk)
                    done += len(chunk)
                    on_bytes(done, total)
                file.flush()
                os.fsync(file.fileno())
        if total is not None and done < total:
            raise DataError(f"the connection ended after {done} of {total} bytes; download again to go on", path=url)
        os.replace(part, path)
        tag.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot be written: {in_words(error)}", path=path) from error
    return path


def _opened(url: str, part: Path, tag: Path) -> http.client.HTTPResponse:
    """The answer of the server: the rest of a file that was begun, if it is still the same, else all of it."""
    headers = {"User-Agent": "musket"}
    begun = part.exists() and tag.exists()
    if begun:
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": tag.read_text("latin-1")}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SILENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if not begun or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise DataError(f"the server answered {error.code} {error.reason}; check the address", path=url) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(f"cannot be had: {_reason(error)}", path=url) from error
    tag.unlink()
    return _opened(url, part, tag)


def _received(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """The content, piece by piece."""
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"the connection broke ({_reason(error)}); download again to go on", path=url) from error


def _note(tag: Path, headers: http.client.HTTPMessage) -> None:
    """Keep what tells this state of the file from others; without it nothing can be gone on with."""
    mark = headers.get("ETag") or headers.get("Last-Modified")
    if mark is None or mark.startswith("W/"):  # a weak one says alike, not the same
        tag.unlink(missing_ok=True)
    else:
        tag.write_text(mark, "latin-1")


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    return (isinstance(inner, OSError) and inner.strerror) or str(inner) or type(inner).__name__


def unpack(archive: Path, folder: Path, *, inner: bool = False) -> list[Path]:
    """Unpack a zip archive into a folder. The archive stays.

    All of it is unpacked beside before the first file moves in; files of the same names are replaced.

    Args:
        inner: archives found inside are unpacked as well, each where it lies, and removed.

    Returns:
        the files that moved in.

    Raises:
        DataError: the archive is damaged, encrypted, or would write outside of the folder; nothing moved in then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as scratch:
            _extract(archive, Path(scratch))
            if inner:
                unpack_all(Path(scratch))
            return _moved(Path(scratch), folder)
    except OSError as error:
        raise DataError(f"cannot be unpacked: {in_words(error)}", path=archive) from error


def unpack_all(folder: Path) -> None:
    """Unpack the zip archives of a folder, and those in them, each where it lies; the archives are removed.

    Raises:
        DataError: see :func:`unpack`.
    """
    for archive in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".zip" and path.is_file()):
        unpack(archive, archive.parent, inner=True)
        archive.unlink()


def _extract(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                path = PurePosixPath(name.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]):
                    raise DataError(
                        f"member {name!r} would be written outside of the folder; this archive is not safe",
                        path=archive,
                    )
            file.extractall(folder)
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise DataError(f"the archive is damaged or locked ({error}); get another one", path=archive) from error


def _moved(source: Path, folder: Path) -> list[Path]:
    """Move the files of a folder to the same places of another one."""
    moved = []
    for path in sorted(path for path in source.rglob("*") if not path.is_dir()):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        moved.append(target)
    return moved


def from_kaggle(what: str, kind: str, folder: Path) -> list[Path]:
    """Download a dataset or the files of a competition by the program ``kaggle``; archives are unpacked, all levels.

    Args:
        what: ``owner/name`` of a dataset, the name of a competition.
        kind: "dataset" or "competition".

    Raises:
        DataError: the program is not there, or fails; says what it said.
    """
    program = shutil.which("kaggle")
    if program is None:
        raise DataError(
            "the program kaggle is not installed; pip install kaggle, and put your API token where it tells you",
            path=f"kaggle.{kind}://{what}",
        )
    command = (
        [program, "datasets", "download", "-d"] if kind == "dataset" else [program, "competitions", "download", "-c"]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".kaggle-", dir=folder) as scratch:
            done = subprocess.run(
                [*command, what, "-p", scratch], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                said = (done.stderr.strip() or done.stdout.strip()).splitlines()
                raise DataError(
                    f"kaggle failed: {said[-1] if said else f'exit code {done.returncode}'}",
                    path=f"kaggle.{kind}://{what}",
                )
            unpack_all(Path(scratch))
            return _moved(Path(scratch), folder)
    except OSError as error:
        raise DataError(f"cannot be written: {in_words(error)}", path=folder) from error
