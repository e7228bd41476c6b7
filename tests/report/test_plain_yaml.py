from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from musket.core.errors import ArtifactError
from musket.report.plain_yaml import read_plain

TEXT = """\
#%Musket Segmentation 1.0
lr: 1e-3
on: true
off: ~
text: "1e-3"
names: [a, 'b', 3]
shared: &shared {deep: [{x: 1}]}
again: *shared
folded: >
  two
  lines
1: one
"""


def test_values_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert read_plain(path) == {
        "lr": 0.001,
        "on": True,
        "off": None,
        "text": "1e-3",
        "names": ["a", "b", 3],
        "shared": {"deep": [{"x": 1}]},
        "again": {"deep": [{"x": 1}]},
        "folded": "two lines\n",
        "1": "one",
    }
    path.write_text("")
    assert read_plain(path) is None


def test_what_the_dumper_writes_is_read_back(tmp_path: Path) -> None:
    content = {
        "a": [1, -2.5, 1e-9, True, None, "yes", "1.5", "null", "ä: b", ""],
        "b": {"c": [[1], {"d": []}], "e": {}},
    }
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert read_plain(path) == content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [1", ".*line"),
        (b"a: \xff", "byte 0xff is not UTF-8"),
        (b"a: 1\n---\nb: 2", "more than one document"),
        (b"a: *b", "alias .b has no finished anchor"),
        (b"a: &a [*a]", "alias .a has no finished anchor"),
        (b"a: \x00", "not readable as YAML"),
        (b"[" * 300_000, "nested deeper than 64 levels"),
        (b"- " * 300_000, "nested deeper than 64 levels"),
        (b"#" * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_file(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"(?s)config\.yaml: (not readable as YAML: )?{told}"):
        read_plain(path)


def test_no_object_is_ever_made(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\nb: !!int 3\nc: !!str 3\n")
    assert read_plain(path) == {"a": [str(tmp_path / "made")], "b": 3, "c": "3"}
    assert not (tmp_path / "made").exists()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        read_plain(tmp_path / "absent.yaml")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_plain(tmp_path)
