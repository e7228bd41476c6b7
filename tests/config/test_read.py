from __future__ import annotations

import codecs
import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from musket.config.read import MAX_BYTES, Document, override, parse, read, resolve, to_yaml
from musket.config.tree import Items, Map, Scalar, describe, merge_common, place_of, plain, tree
from musket.core.errors import ConfigError, Problem


def refused(data: str | bytes) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        parse(data)
    return caught.value.problems


def values(text: str) -> Any:
    return plain(parse(text).root)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        # YAML 1.1 took these for booleans, numbers in base 60, dates and grouped digits; 1.2 does not
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("1_000", "1_000"),
        ("1e", "1e"),
        ("١٢", "١٢"),
        ("0b101", "0b101"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = values(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_special_floats_and_quotes() -> None:
    assert math.isinf(values("a: -.inf")["a"])
    assert math.isnan(values("a: .NaN")["a"])
    assert values("a: '1e-3'\nb: \"true\"\nc: !!str 5\nd: !!float 5") == {"a": "1e-3", "b": "true", "c": "5", "d": 5.0}
    assert isinstance(resolve("9" * 1000), float)


def test_places_of_keys_and_values() -> None:
    root = parse("a: 1\nstages:\n  - epochs: 3\n    lr:   0.5\nmap: {x: [7, 8]}\n").root
    assert place_of(root, ("a",)).column == 4
    assert (place_of(root, ("stages", 0, "lr")).line, place_of(root, ("stages", 0, "lr")).column) == (4, 11)
    assert place_of(root, ("stages", 0, "lr"), key=True).column == 5
    assert place_of(root, ("stages",)).line == 2
    assert place_of(root, ("map", "x", 1)).column == 14
    assert place_of(root, ("stages", 0, "nothing")).line == 3
    assert place_of(root, ("nothing", "at", "all")).line == 0


def test_names_are_found_in_lists_of_one_entry_maps() -> None:
    root = parse("callbacks:\n  - Stop: {patience: 1}\n  - Log\n").root
    assert place_of(root, ("callbacks", "Stop", "patience")).line == 2
    assert place_of(root, ("callbacks", "Log")).line == 3


@pytest.mark.parametrize(
    ("data", "line", "column", "words"),
    [
        ("", 0, 0, "the file is empty"),
        ("# only a comment\n", 0, 0, "the file is empty"),
        ("---\n", 0, 0, "the file is empty"),
        ("a: 1\nb: 2\na: 3", 3, 1, "given twice (first on line 1)"),
        ("m:\n  a: 1\n  a: 3", 3, 3, "given twice (first on line 2)"),
        ("a: 1\nb: &x [1, *x]", 2, 11, "stands inside the value it refers to"),
        ("a: *nowhere", 1, 4, "has no anchor"),
        ("a: !!python/object/apply:os.system ['true']", 1, 4, "the tag !!python/object/apply:os.system is not allowed"),
        ("a: !!set {x, y}", 1, 4, "not allowed"),
        ("a: !!map [1]", 1, 4, "not allowed"),
        ("a: !!int x", 1, 4, "is not of kind !!int"),
        ("- 1\n- 2", 1, 1, "the file holds [1, 2] at its root"),
        ("just words", 1, 1, "at its root"),
        ("a: [1, 2", 1, 9, "not YAML"),
        ("a:\n\tb: 1", 2, 1, "a tab cannot indent; use spaces"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document begins here"),
        (b"ok: 1\nbad: \xff\xfe", 2, 6, "byte 0xff is not UTF-8"),
        ("ok: 1\nbad: \x07", 2, 6, "character U+0007"),
        ("? [a, b]\n: 1", 1, 3, "a key must be plain text"),
        ("a: {b: 1, <<: 3}", 1, 15, "<< takes a map or a list of maps, found 3"),
        ("a: b: c", 1, 5, "mapping values are not allowed"),
        ("a: 'never closed\nb: 1\n", 3, 1, "begun on line 1"),
    ],
)
def test_refusals_name_line_and_column(data: str | bytes, line: int, column: int, words: str) -> None:
    problem = refused(data)[0]
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.message


def test_every_duplicate_is_told() -> None:
    assert [problem.key for problem in refused("a: 1\na: 2\ns: {x: 1, x: 2}\na: 3")] == ["a", "s.x", "a"]


def test_bombs_end_quickly() -> None:
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        laughs += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    merges = "a: &a {k: &k [1, 1, 1, 1, 1, 1, 1, 1]}\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{p: *{chr(97 + i)}, q: *{chr(97 + i)}, r: *{chr(97 + i)}}}\n"
        for i in range(20)
    )
    begun = time.monotonic()
    assert "aliases expanded" in refused(laughs)[0].message
    assert "aliases expanded" in refused(merges)[0].message
    assert "nested deeper than 32" in refused("a: " + "[" * 100_000)[0].message
    assert "nested deeper than 32" in refused("a: &a {b: 1}\n" + deep_aliases(40))[0].message
    assert "1024 KiB" in refused("x" * (MAX_BYTES + 1))[0].message
    assert time.monotonic() - begun < 20


def deep_aliases(levels: int) -> str:
    return "".join(f"k{n}: &k{n} [{'*a' if n == 0 else f'*k{n - 1}'}]\n" for n in range(levels))


def test_anchors_and_merge_keys() -> None:
    text = "base: &base {x: 1, y: 2}\nother: &other {y: 9, z: 3}\nboth: {<<: [*base, *other], x: 7}\nlist: [*base]"
    found = values(text)
    assert found["both"] == {"x": 7, "y": 2, "z": 3}
    assert found["list"] == [{"x": 1, "y": 2}]
    assert values("a: {'<<': 1}") == {"a": {"<<": 1}}


@pytest.mark.parametrize(
    ("text", "dialect", "version"),
    [
        ("#%Musket Segmentation 1.0\na: 1", "Segmentation", "1.0"),
        ("#%Musket Segmentation\na: 1", "Segmentation", None),
        ("#%musket  generic\t2\na: 1", "generic", "2"),
        ("\ufeff#%Musket Generic 1\na: 1", "Generic", "1"),
        ("\n# a comment\n#%Musket Generic 1\na: 1", "Generic", "1"),
        ("#%Musket\na: 1", "", None),
        ("a: 1\n#%Musket Generic 1", None, None),
        ("# Musket Generic\na: 1", None, None),
    ],
)
def test_dialect_line(text: str, dialect: str | None, version: str | None) -> None:
    document = parse(text)
    assert (document.dialect, document.version) == (dialect, version)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(codecs.BOM_UTF8 + "name: Größe\r\nb: 2\r\n".encode())
    assert plain(read(path).root) == {"name": "Größe", "b": 2}
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match=r"name the YAML file in it"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read("a\0b")


def test_overrides_reach_everything() -> None:
    root = parse("lr: 1\nstages: [{epochs: 1}, {epochs: 2}]\ncallbacks: null").root
    root, problems = override(
        root,
        [
            "lr=1e-3",
            "stages[0].epochs=5",
            "stages.1.lr=2",
            "callbacks.Stop.patience=3",
            "metrics=[a, b]",
            "x=",
            "a=b=c",
        ],
    )
    assert not problems
    assert plain(root) == {
        "lr": 0.001,
        "stages": [{"epochs": 5}, {"epochs": 2, "lr": 2}],
        "callbacks": {"Stop": {"patience": 3}},
        "metrics": ["a", "b"],
        "x": None,
        "a": "b=c",
    }
    assert place_of(root, ("lr",)).origin == "command line"
    assert place_of(root, ("stages", 1, "epochs")).origin == ""


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("lr", "write key=value"),
        ("=3", "write key=value"),
        ("[0]x]=3", "write key=value"),
        (".".join(["a"] * 5000) + "=1", "write key=value"),
        ("lr.x=1", "would be inside 1"),
        ("stages[7].lr=1", "no item 7 in a list of 1"),
        ("stages.last.lr=1", "no item 'last'"),
        ("lrs[0]=1", "no such key; nearest: lr"),
        ("stage[0].epochs=2", "no such key; nearest: stages"),
        ("zzz[0]=2", "no item 0: there is no such key"),
        ("loss[0]=2", "no item 0: found a map, which is no list"),
        ("lr=[1", "not YAML"),
        ("lr=!!python/name:os.system", "is not allowed"),
    ],
)
def test_overrides_that_cannot_be_made(assignment: str, words: str) -> None:
    root = parse("lr: 1\nstages: [{epochs: 1}]\nloss: {a: 1}").root
    after, problems = override(root, [assignment])
    assert plain(after) == plain(root)
    assert words in problems[0].message
    assert problems[0].origin == "command line"


def test_common_yaml_fills_in_what_is_absent() -> None:
    root = parse("batch: 4\ncallbacks:\n  A: 1\nstages: [1]\nimports: [own]\ntasks: null").root
    text = "batch: 8\nlr: 2\ncallbacks:\n  A: 9\n  B: 2\nstages: [1, 2]\nimports: [own, shared]\ntasks: {t: 1}"
    common = parse(text, origin="common.yaml").root
    merged = merge_common(root, common)
    assert plain(merged) == {
        "batch": 4,
        "callbacks": {"A": 1, "B": 2},
        "stages": [1],
        "imports": ["own", "shared"],
        "tasks": None,
        "lr": 2,
    }
    assert place_of(merged, ("callbacks", "A")).origin == ""
    assert place_of(merged, ("callbacks", "B")).origin == "common.yaml"
    assert place_of(merged, ("lr",)).line == 2


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        ({}, "an empty map"),
        ({"a": 1}, "a map"),
        ([], "an empty list"),
        ([1, "a"], "[1, 'a']"),
        ([[1]], "a list"),
        ("text", "'text'"),
        (1.0, "1"),
        (0.25, "0.25"),
        (10**40, "a number of 41 digits"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_values_are_described_in_words(value: object, words: str) -> None:
    assert describe(value) == words
    assert describe(tree(value)) == words


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(
            codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"
        )
    )
    | st.sampled_from(["1e-3", "yes", "null", "010", "~", "- a", "#%Musket", "a: b", "0x1", ".inf", "<<", "1_0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.-_", min_size=1), inner, max_size=3),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text("abcxyz_", min_size=1), PLAIN, min_size=1, max_size=4))
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    text = to_yaml(data, dialect="Generic")
    document = parse(text)
    assert isinstance(document, Document)
    assert document.dialect == "Generic"
    assert plain(document.root) == data
    flow = override(Map({}, document.root.place), [f"key={to_yaml(data, flow=True)}"])
    assert flow[1] == []
    assert plain(flow[0]) == {"key": data}


def test_trees_know_their_kinds() -> None:
    root = tree({"a": [1, {"b": None}]})
    assert isinstance(root, Map)
    assert isinstance(root.entries["a"].value, Items)
    assert isinstance(root.entries["a"].value.items[0], Scalar)
    assert root.without("a").entries == {}


@pytest.mark.parametrize(
    "text",
    [
        *(path.read_text("utf-8") for path in sorted((Path(__file__).parents[2] / "examples").rglob("config.yaml"))),
        "a: &x [1, 'ü', \"\\u00e9\"]\nb: *x\nc: |\n  text\n  more\n? k\n: v\ne: !!str 3\n<<: {z: 1}\n",
        "a: [x?]\n",
        "a:\t1\nb: {\tc: 1}\n",
        "a: [1\n",
        "a: '\ud800'\n",
    ],
)
def test_configs_read_the_same_with_and_without_libyaml(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> object:
        try:
            return parse(text)
        except ConfigError as error:
            return error.problems

    found = told()
    monkeypatch.setattr("musket.config.read._FAST_LOADER", yaml.SafeLoader)
    assert found == told()
