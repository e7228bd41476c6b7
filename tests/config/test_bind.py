from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Le

from musket.config.bind import Option, bind, convert, options_of, refusal, spell
from musket.core.registry import Entry


def part(
    name: str,
    size: int = 1,
    rate: float = 0.5,
    on: bool = False,
    style: Literal["a", "b"] = "a",
    span: float | tuple[float, float] = 0.0,
    sides: list[int] | None = None,
    share: Annotated[float, Gt(0), Le(1)] = 1.0,
    scale: Callable[[float], float] | None = None,
    *,
    extra: Any = None,
) -> None: ...


def anything(*values: int, **options: int) -> None: ...


PART = Entry("part", part)


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"size": 3}, 3),
        ({"size": "3"}, 3),
        ({"size": 3.0}, 3),
        ({"rate": 1}, 1.0),
        ({"rate": "1e-3"}, 0.001),
        ({"on": "yes"}, True),
        ({"span": [1, "2"]}, (1.0, 2.0)),
        ({"span": 3}, 3.0),
        ({"sides": [1, 2]}, [1, 2]),
        ({"sides": None}, None),
        ({"share": 1}, 1.0),
        ({"extra": {"any": ["thing"]}}, {"any": ["thing"]}),
    ],
)
def test_values_become_what_the_annotation_says(given: dict[str, Any], bound: object) -> None:
    values, faults = bind(PART, ("n",), given)
    assert faults == []
    assert values == {"name": "n", next(iter(given)): bound}
    assert type(values[next(iter(given))]) is type(bound)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": 3.5}, "found 3.5; must be a whole number"),
        ({"size": True}, "found true; must be a whole number"),
        ({"rate": float("nan")}, "found nan; must be a finite number"),
        ({"rate": True}, "found true; must be a number"),
        ({"on": 1}, "found 1; must be true or false"),
        ({"on": None}, "found nothing; must be true or false"),
        ({"style": "c"}, "found 'c'; must be one of a, b"),
        ({"span": [1, 2, 3]}, "found [1, 2, 3]; must be a number or [number, number]"),
        ({"sides": 3}, "found 3; must be a list, each a whole number or null"),
        ({"sides": [1.5]}, "found [1.5]; must be a list, each a whole number or null"),
        ({"share": 0}, "found 0; must be a number above 0 and at most 1"),
        ({"scale": "x"}, "found 'x'; must be a function, which only Python code can give or null"),
        ({"name": 3}, "found 3; must be text"),
        ({"sizes": 3}, "part takes no such option; nearest: size, sides"),
        ({"zzz": 3}, "part takes no such option"),
    ],
)
def test_faults_are_sentences(given: dict[str, Any], words: str) -> None:
    _, faults = bind(PART, (), {"name": "n", **given})
    assert [fault.message for fault in faults] == [words]


@pytest.mark.parametrize("annotation", [Iterable[int], Sequence[int], list[int]])
def test_containers_become_lists(annotation: Any) -> None:
    option = Option("x", annotation)
    assert convert(option, [3, "5"]) == [3, 5]
    with pytest.raises(ValueError, match="must be a list, each a whole number"):
        convert(option, "35")
    assert convert(Option("x", Mapping[str, int]), {"a": "1"}) == {"a": 1}


def test_positions() -> None:
    assert bind(PART, ("n", 3), {})[0] == {"name": "n", "size": 3}
    assert [fault.message for fault in bind(PART, ("n",), {"name": "m"})[1]] == ["given twice: by position and by name"]
    assert [fault.message for fault in bind(PART, (), {})[1]] == ["part needs name"]
    many = bind(PART, (1,) * 11, {})[1]
    assert [fault.message for fault in many] == ["found [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]; part takes at most 9 values"]
    none = bind(Entry("empty", lambda: None), (5,), {})[1]
    assert [fault.message for fault in none] == ["found 5; empty takes no options"]


def test_supplied_parameters_are_no_options() -> None:
    assert "name" not in options_of(PART, {"name"}).named
    assert bind(PART, (3,), {}, supplied={"name"})[0] == {"size": 3}


def test_open_signatures_take_everything() -> None:
    assert bind(Entry("anything", anything), (1, 2, 3), {"x": "y"}) == ({"x": "y"}, [])
    assert bind(Entry("max", max), (1, 2), {"key": "y"})[1] == []


def test_annotations_that_cannot_be_resolved_are_not_checked() -> None:
    def own(x: NotImported, y: int = 0) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert bind(Entry("own", own), (object,), {"y": "text"})[1] == []
    assert bind(Entry("own", own), (), {"z": 1})[1] != []


def test_parameters_of_foreign_types_are_not_checked() -> None:
    class Tensor: ...

    def own(x: Tensor) -> None: ...

    own.__annotations__["x"] = Tensor
    assert bind(Entry("own", own), ([1, 2],), {}) == ({"x": [1, 2]}, [])


def test_refusal_makes_only_parts_of_ours() -> None:
    def explode() -> None:
        raise ValueError("made")

    assert refusal(Entry("explode", explode), {}) is None
    assert refusal(Entry("Fliplr", "musket.augment.geometry:Fliplr"), {"p": 0.5}) is None
    told = refusal(Entry("Fliplr", "musket.augment.geometry:Fliplr"), {"p": 1.5})
    assert told is not None
    assert "1.5" in told


def test_spelling_of_annotations() -> None:
    assert spell(dict[str, int]) == "a map"
    assert spell(tuple[int, ...]) == "a list, each a whole number"
    assert spell(Literal["only"]) == "only"
    assert spell(tuple) == "a list"
    with pytest.raises(ValueError, match="must be a whole number"):
        convert(options_of(PART).named["size"], "x")
