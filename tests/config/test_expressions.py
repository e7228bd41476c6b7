from __future__ import annotations

import math
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musket.config.expressions import ExpressionError, evaluate, filled, names_used

VALUES = {"a": 0.5, "n": 3, "neg": -0.25, "net": "resnet18", "total": "bce+dice", "sizes": [64, 64]}


def texts(numbers: st.SearchStrategy[str], operators: str) -> st.SearchStrategy[str]:
    """Expressions as people write them: with blanks, signs and parentheses here and there."""

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        joined = st.builds("{} {} {}".format, inner, st.sampled_from(operators.split()), inner)
        return st.one_of(joined, st.builds("({})".format, inner), st.builds("-{}".format, inner))

    return st.recursive(numbers, larger, max_leaves=8)


WHOLE = st.one_of(st.integers(0, 9).map(str), st.just("n"))
BROKEN = st.one_of(st.floats(0.1, 9.0).map(repr), st.sampled_from(["a", "neg"]))


@given(texts(WHOLE, "+ - * ^"))
def test_whole_numbers_as_python_has_them(text: str) -> None:
    assert evaluate(text, VALUES) == eval(text, {"__builtins__": {}}, dict(VALUES))


@given(texts(BROKEN, "+ - * /"))
def test_broken_numbers_as_python_has_them(text: str) -> None:
    try:
        expected = eval(text, {"__builtins__": {}}, dict(VALUES))
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="division by zero"):
            evaluate(text, VALUES)
        return
    if math.isfinite(expected):
        assert evaluate(text, VALUES) == expected
    else:
        with pytest.raises(ExpressionError):
            evaluate(text, VALUES)


@given(st.text(max_size=40))
def test_no_text_is_too_much(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            filled(text, VALUES)
            evaluate(text, VALUES)
        except ExpressionError:
            pass


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7/2", 3),
        ("-7/2", -3),  # cut towards zero, where // would give -4
        ("7/2.0", 3.5),
        ("n/2", 1),
        ("4*a", 2),
        ("2**n", 8),
        ("2**-1", 0.5),
        ("6^n", 5),
        ("-2**2", -4),
        (" ( 1 + n ) * 2 ", 8),
        ("1e-3", 0.001),
        ("net", "resnet18"),
        ("sizes", [64, 64]),
    ],
)
def test_values(text: str, value: object) -> None:
    found = evaluate(text, VALUES)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("b+1", "b has no value"),
        ("n/0", "division by zero"),
        ("n/0.0", "division by zero"),
        ("9**9**9", "too large"),
        ("9.0**999", "too large"),
        ("1e300*1e300", "the result is inf"),
        ("neg**a", "no real number"),
        ("a^1", "whole numbers; a power is written"),
        ("net*2", "net is 'resnet18', no number"),
        ("", "no expression"),
        ("1 +", "no expression"),
        ("a < n", "no expression"),
        ("n if a else 1", "no expression"),
        ("(lambda: 1)()", "no expression"),
        ("__import__('os')", "no expression"),
        ("n.real", "no expression"),
        ("n[0]", "no expression"),
        ("'n'", "no expression"),
        ("True", "no expression"),
        ("1j", "no expression"),
        ("n//2", "no expression"),
        ("(" * 150 + "n" + ")" * 149, "no expression"),
        ("1+" * 250 + "n", "more than 400"),
    ],
)
def test_what_has_no_value_says_why(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        evaluate(text, VALUES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", 0.5),
        ("2*n", 6),
        ("binary_crossentropy+a*dice_loss", "binary_crossentropy+0.5*dice_loss"),
        ("bce + a/2*dice", "bce + 0.25*dice"),
        ("bce+(a+1)*dice", "bce+1.5*dice"),
        ("bce+( (a) )*dice", "bce+0.5*dice"),
        ("(bce+a*dice)", "(bce+0.5*dice)"),
        ("0.1*bce+neg*dice", "0.1*bce+-0.25*dice"),
        ("größe*a", "größe*0.5"),
        ("tu-net", "tu-resnet18"),
        ("total+focal", "bce+dice+focal"),
        ("a*total", "0.5*(bce+dice)"),
        ("total*a", "(bce+dice)*0.5"),
    ],
)
def test_what_is_known_is_filled_in(text: str, value: object) -> None:
    assert names_used(text, VALUES)
    assert filled(text, VALUES) == value


@pytest.mark.parametrize(
    "text", ["bce+dice", "data/a", "data/a.csv", "a b", "train a model", "a.b", "{a}", "a,n", "an", "7/2", "", "a\n+n"]
)
def test_other_texts_stay(text: str) -> None:
    assert not names_used(text, VALUES)
    assert filled(text, VALUES) == text


def test_lists_stand_alone_only() -> None:
    with pytest.raises(ExpressionError, match="can only stand alone"):
        filled("bce+sizes", VALUES)
