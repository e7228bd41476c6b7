"""musket deps_download, against a server of this machine and a program that plays kaggle's."""

from __future__ import annotations

import io
import os
import sys
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from musket.cli.main import main
from musket.core.errors import DataError, MusketError
from musket.data import downloads
from musket.experiment.projects.dependencies import after_download


def packed(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


@dataclass
class Server:
    """Files by path, and what was asked for. A path in ``cut`` ends after so many bytes, once."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, wanted = self.path.partition("?")[0], self.headers.get("Range")
            told.asked.append((path, wanted))
            content, tag = told.files.get(path), told.tags.get(path)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            resumed = wanted is not None and self.headers.get("If-Range") == tag
            if resumed and start >= len(content):
                self.send_error(416)
                return
            content = content[start:] if resumed else content
            self.send_response(206 if resumed else 200)
            self.send_header("Content-Length", str(len(content)))
            if tag is not None:
                self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(content[: told.cut.pop(path, len(content))])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told.address = f"http://127.0.0.1:{running.server_port}"
        yield told
        running.shutdown()
        thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    return folder


def asks_for(root: Path, *entries: object) -> None:
    (root / "project.yaml").write_text(yaml.safe_dump({"dependencies": list(entries)}))


def record(root: Path) -> list[str]:
    return yaml.safe_load((root / ".metadata" / "downloaded_deps.yaml").read_text())


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_and_archives_come_once(root: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.files = {
        "/a%20table.csv": b"x,y\n",
        "/images.zip": packed({"train/1.png": b"one", "train/deep/2.png": b"two"}),
        "/more/m.bin": b"more",
    }
    urls = [f"{server.address}{path}" for path in server.files]
    asks_for(root, urls[0], f"{urls[1]}?version=2", {"url": urls[2], "destination": "other/place"})
    assert main(["deps_download", str(root)]) == 0
    expected = {
        "a table.csv": b"x,y\n",
        "train/1.png": b"one",
        "train/deep/2.png": b"two",
        "other/place/m.bin": b"more",
    }
    assert files(root / "data") == expected
    assert record(root) == [urls[0], f"{urls[1]}?version=2", urls[2]]
    assert capsys.readouterr().out.count("downloaded: ") == 3
    asked = len(server.asked)
    assert main(["deps-download", "--project", str(root)]) == 0
    assert len(server.asked) == asked
    assert capsys.readouterr().out.count("there already: ") == 3


def test_force_and_folders_that_went_download_again(
    root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files = {"/a.txt": b"1", "/b.txt": b"1", "/c.txt": b"1"}
    a, b, c = (f"{server.address}{path}" for path in server.files)
    asks_for(root, a, {"url": b, "force": True}, {"url": c, "destination": "away"})
    monkeypatch.chdir(root)
    assert main(["deps_download"]) == 0
    (root / "data" / "away" / "c.txt").unlink()
    (root / "data" / "away").rmdir()
    server.files = {"/a.txt": b"2", "/b.txt": b"2", "/c.txt": b"2"}
    assert main(["deps_download"]) == 0
    assert files(root / "data") == {"a.txt": b"1", "b.txt": b"2", "away/c.txt": b"2"}
    assert main(["deps_download", "--force"]) == 0
    assert files(root / "data")["a.txt"] == b"2"
    assert record(root) == [a, b, c]


def test_what_was_cut_off_goes_on(root: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytes(range(256)) * 100
    server.files, server.tags, server.cut = {"/f.bin": content}, {"/f.bin": '"one"'}, {"/f.bin": 10_000}
    asks_for(root, f"{server.address}/f.bin")
    assert main(["deps_download", str(root)]) == 1
    assert "after 10000 of 25600 bytes; download again to go on" in capsys.readouterr().err
    assert not (root / "data" / "f.bin").exists()
    assert not (root / ".metadata").exists()
    assert main(["deps_download", str(root)]) == 0
    assert files(root / "data") == {"f.bin": content}
    assert server.asked == [("/f.bin", None), ("/f.bin", "bytes=10000-")]


@pytest.mark.parametrize("tag", ['"two"', None, 'W/"weak"'])
def test_a_file_that_changed_meanwhile_comes_anew(tag: str | None, tmp_path: Path, server: Server) -> None:
    server.files, server.tags = {"/f.bin": b"old" * 100}, {} if tag is None else {"/f.bin": '"one"'}
    server.cut = {"/f.bin": 30}
    with pytest.raises(DataError, match="30 of 300"):
        downloads.download(f"{server.address}/f.bin", tmp_path)
    server.files = {"/f.bin": b"new" * 100}
    server.tags = {} if tag is None else {"/f.bin": tag}
    assert downloads.download(f"{server.address}/f.bin", tmp_path).read_bytes() == b"new" * 100
    assert files(tmp_path) == {"f.bin": b"new" * 100}


def test_a_part_that_is_complete_already(tmp_path: Path, server: Server) -> None:
    server.files, server.tags = {"/f.bin": b"abc"}, {"/f.bin": '"one"'}
    (tmp_path / ".f.bin.part").write_bytes(b"abc")
    (tmp_path / ".f.bin.part.tag").write_text('"one"')
    seen: list[tuple[int, int | None]] = []
    downloads.download(f"{server.address}/f.bin", tmp_path, lambda done, total: seen.append((done, total)))
    assert files(tmp_path) == {"f.bin": b"abc"}
    assert seen == [(3, 3)]


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_archives_write_nowhere_else(name: str, root: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.files = {"/bad.zip": packed({"good.txt": b"1", name: b"2"})}
    asks_for(root, f"{server.address}/bad.zip")
    assert main(["deps_download", str(root)]) == 1
    assert "would be written outside of the folder" in capsys.readouterr().err
    assert files(root.parent) == {"project/project.yaml": (root / "project.yaml").read_bytes()}


def test_one_that_fails_does_not_stop_the_others(
    root: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = packed({"a.txt": b"content that is checked"}).replace(b"content", b"CONTENT", 1)
    server.files = {"/damaged.zip": damaged, "/fine.txt": b"1", "/none.zip": b"no archive"}
    (root / "modules").mkdir()
    (root / "modules" / "waiting_for_all.py").write_text(
        "import musket\n\n@musket.after_download\ndef call() -> None:\n    raise AssertionError\n"
    )
    gone, damaged_url, fine, none = (
        f"{server.address}/{name}" for name in ("gone", "damaged.zip", "fine.txt", "none.zip")
    )
    asks_for(root, gone, damaged_url, "http://127.0.0.1:1/unreachable.txt", fine, none)
    assert main(["deps_download", str(root)]) == 1
    assert record(root) == [fine]
    assert files(root / "data") == {"fine.txt": b"1"}
    told = capsys.readouterr().err
    assert f"failed: {gone}\n" in told
    assert "the server answered 404" in told
    assert told.count("the archive is damaged") == 2
    assert "cannot be had: Connection refused" in told


def test_functions_are_called_when_all_is_there(root: Path, server: Server) -> None:
    server.files = {"/a.txt": b"content"}
    asks_for(root, f"{server.address}/a.txt")
    (root / "modules").mkdir()
    (root / "modules" / "waiting_for_data.py").write_text(
        textwrap.dedent("""
            from pathlib import Path
            from musket_core.download_callbacks import after_download

            @after_download
            def shout():
                Path("shouted.txt").write_text(Path("a.txt").read_text().upper())

            def unmarked():
                raise AssertionError
            """)
    )
    assert main(["deps_download", str(root)]) == 0
    assert (root / "data" / "shouted.txt").read_text() == "CONTENT"


def test_a_function_that_fails_is_told(root: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    asks_for(root)
    (root / "modules").mkdir()
    (root / "modules" / "failing_after.py").write_text(
        "import musket\n\n@musket.after_download\ndef call():\n    1 / 0\n"
    )
    assert main(["deps_download", str(root)]) == 2
    assert "after_download: call: ZeroDivisionError" in capsys.readouterr().err
    with pytest.raises(MusketError, match="needs path"):
        after_download(lambda path: None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dependencies: http://host/a", "line 1  dependencies  found 'http://host/a'; a list of addresses is needed"),
        (
            "dependencies: [ftp://host/a]",
            "line 1  dependencies[0]  found 'ftp://host/a'; an address begins with http://",
        ),
        ("dependencies:\n- a.zip", "line 2  dependencies[0]  found 'a.zip'; an address begins with"),
        ("dependencies: [3]", "found 3; write an address, or a map of url, destination and force"),
        ("dependencies: [{destination: x}]", "found a map without url"),
        (
            "dependencies:\n- url: http://h/a\n  to: x",
            "line 3  dependencies[0].to  there is no such key; allowed are url",
        ),
        ("dependencies: [{url: 'http://h/a', force: maybe}]", "found 'maybe'; write true or false"),
        ("dependencies: [{url: 'http://h/a', destination: [x]}]", "dependencies[0].destination  found ['x']"),
        ("dependencies: ['http://host/']", "it must end with the name of a file"),
        ("dependencies: ['https:///a']", "it names no server"),
        ("dependencies: ['kaggle.dataset://name']", "write kaggle.dataset://OWNER/NAME"),
        ("dependencies: ['kaggle.competition://a/b']", "write kaggle.competition://NAME"),
        ("- a", "a map of keys is needed"),
    ],
)
def test_everything_wrong_with_the_file_is_told(
    text: str, told: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "project.yaml").write_text(text)
    assert main(["deps_download", str(root)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{root / 'project.yaml'}: 1 problem\n")
    assert " ".join(told.split()) in " ".join(error.split())


@pytest.mark.parametrize("text", [None, "name: x", "dependencies:", "dependencies: []"])
def test_nothing_to_download(text: str | None, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if text is not None:
        (root / "project.yaml").write_text(text)
    assert main(["deps_download", str(root)]) == 0
    assert "nothing to download" in capsys.readouterr().out


def test_no_such_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deps_download", str(tmp_path / "none")]) == 2
    assert "there is no project folder" in capsys.readouterr().err


def test_a_damaged_record(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asks_for(root, "http://127.0.0.1:1/a.txt")
    (root / ".metadata").mkdir()
    (root / ".metadata" / "downloaded_deps.yaml").write_text("[")
    assert main(["deps_download", str(root)]) == 2
    assert "delete it, and everything is downloaded anew" in capsys.readouterr().err


KAGGLE = """\
#!{python}
import os, sys, zipfile
command, what, folder = sys.argv[1:4], sys.argv[4], sys.argv[6]
if what.endswith("forbidden"):
    print("Downloading", file=sys.stderr)
    sys.exit("403 - Forbidden: accept the rules first")
inner = os.path.join(folder, "inner.zip")
with zipfile.ZipFile(inner, "w") as file:
    file.writestr("train/1.png", " ".join(command))
with zipfile.ZipFile(os.path.join(folder, "all.zip"), "w") as file:
    file.write(inner, "images/inner.zip")
    file.writestr("labels.csv", what)
os.remove(inner)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_kaggle(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin" / "kaggle"
    program.parent.mkdir()
    program.write_text(KAGGLE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    asks_for(
        root,
        {"url": "kaggle.dataset://owner/name", "destination": "set"},
        {"url": "kaggle.competition://ships", "destination": "ships"},
        "kaggle.competition://forbidden",
    )
    assert main(["deps_download", str(root)]) == 1
    assert files(root / "data") == {
        "set/images/train/1.png": b"datasets download -d",
        "set/labels.csv": b"owner/name",
        "ships/images/train/1.png": b"competitions download -c",
        "ships/labels.csv": b"ships",
    }
    assert "kaggle failed: 403 - Forbidden: accept the rules first" in capsys.readouterr().err
    assert record(root) == ["kaggle.dataset://owner/name", "kaggle.competition://ships"]


def test_kaggle_is_not_installed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(root))
    asks_for(root, "kaggle.dataset://owner/name")
    assert main(["deps_download", str(root)]) == 1
    assert "the program kaggle is not installed; pip install kaggle" in capsys.readouterr().err
