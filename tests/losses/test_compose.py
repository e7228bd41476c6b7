from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musket.core.registry import RegistryError
from musket.losses.compose import Term, build_loss, check_loss, parse_loss


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("dice_loss", [("dice_loss", 1)]),
        ("binary_crossentropy+0.1*dice_loss", [("binary_crossentropy", 1), ("dice_loss", 0.1)]),
        (" binary_crossentropy +\t0.1 * dice_loss\n", [("binary_crossentropy", 1), ("dice_loss", 0.1)]),
        ("dice_loss*0.1", [("dice_loss", 0.1)]),
        ("2*a*3*4.", [("a", 24)]),
        (".5*a", [("a", 0.5)]),
        ("1e-3*a+1e+3*b+2E2*c", [("a", 0.001), ("b", 1000), ("c", 200)]),
        ("1e-3*a-1e-3*b", [("a", 0.001), ("b", -0.001)]),
        ("-a", [("a", -1)]),
        ("+a - b", [("a", 1), ("b", -1)]),
        ("a + -0.5*b", [("a", 1), ("b", -0.5)]),
        ("a - -b", [("a", 1), ("b", 1)]),
        ("a+a", [("a", 1), ("a", 1)]),
        ("my_loss2 + Größe", [("my_loss2", 1), ("Größe", 1)]),
    ],
)
def test_expressions(text, terms):
    assert parse_loss(text) == [Term(name, pytest.approx(weight)) for name, weight in terms]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'' is not an expression"),
        ("  ", "is not an expression"),
        (None, "None is not an expression"),
        (["a"], "is not an expression"),
        ("0.5", "character 1: the term that begins with 0.5 names no loss"),
        ("a+0.5*2", "character 3: the term that begins with 0.5 names no loss"),
        ("a*b", "character 3: a is multiplied by b; losses can only be added"),
        ("2 * a * b", "character 9: a is multiplied by b"),
        ("a b", "character 3: an operator (+, - or *) is missing before 'b'"),
        ("2a", "character 2: an operator (+, - or *) is missing before 'a'"),
        ("a 2", "character 3: an operator (+, - or *) is missing before '2'"),
        ("a+", "a name is missing at the end"),
        ("a*", "a name is missing at the end"),
        ("*a", "character 1: a name or a number is missing before '*'"),
        ("a++*b", "character 4: a name or a number is missing before '*'"),
        ("a---b", "character 4: a name or a number is missing before '-'"),
        ("2*-a", "character 3: a name or a number is missing before '-'"),
        ("a/2", "character 2: '/' cannot be read"),
        ("max(a)", "character 4: '(' cannot be read"),
        ("1,5*a", "character 2: ',' cannot be read"),
        ("1e999*a", "character 1: the weight of a is too large"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text, told):
    with pytest.raises(ValueError, match=r"write a sum of weighted names") as error:
        parse_loss(text)
    assert told in str(error.value)


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
weights = st.floats(min_value=0, max_value=1e6, allow_nan=False)
blanks = st.sampled_from(["", " ", "\t", "  "])


@given(st.lists(st.tuples(st.sampled_from("+-"), weights, names), min_size=1, max_size=5), blanks)
def test_what_was_written_is_read(parts, blank):
    text = blank.join(f"{sign}{blank}{weight!r}{blank}*{blank}{name}" for sign, weight, name in parts)
    assert parse_loss(text) == [Term(name, weight if sign == "+" else -weight) for sign, weight, name in parts]


@given(st.text(alphabet="ab_1.e+-* ", max_size=12))
def test_any_text_is_read_or_refused_with_a_sentence(text):
    try:
        assert parse_loss(text)
    except ValueError as error:
        assert str(error).startswith("loss ")  # noqa: PT017


def test_a_score_must_be_subtracted_and_a_loss_added():
    assert check_loss("binary_crossentropy - iou", "sigmoid")
    with pytest.raises(ValueError, match="iou grows as predictions get better and is given the weight 1"):
        check_loss("binary_crossentropy + iou", "sigmoid")
    with pytest.raises(ValueError, match="dice_loss shrinks as predictions get better and is given the weight -2"):
        check_loss("binary_crossentropy - 2*dice_loss", "sigmoid")


def test_lovasz_needs_independent_classes():
    assert check_loss("lovasz_loss", "sigmoid") == check_loss("lovasz_loss", "none") == [Term("lovasz_loss")]
    with pytest.raises(ValueError, match="contradicts activation softmax"):
        build_loss("lovasz_loss", "Softmax")


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("binary_crossentropy", "sigmoid"),
        ("focal_loss", "sigmoid"),
        ("categorical_crossentropy", "softmax"),
        ("sparse_categorical_crossentropy", "softmax"),
    ],
)
@pytest.mark.parametrize("activation", ["none", "linear", "tanh", "relu"])
def test_cross_entropies_need_shares(loss, wanted, activation):
    with pytest.raises(ValueError, match=f"activation {activation} does not give.* Use activation {wanted} "):
        check_loss(f"mse+{loss}", activation)
    check_loss(loss, wanted)
    check_loss(loss, "hard_sigmoid")


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(RegistryError, match="no such loss 'dise_loss'; nearest: dice_loss"):
        build_loss("binary_crossentropy+dise_loss", "sigmoid")
    with pytest.raises(RegistryError, match="no such activation 'sigmod'; nearest: sigmoid"):
        build_loss("dice_loss", "sigmod")


def test_names_and_expressions_are_checked_without_torch():
    code = (
        "import sys; from musket.losses.compose import check_loss; import musket.metrics.catalogue as metrics;"
        "import musket.optim.catalogue, musket.training.catalogue; from musket.losses.catalogue import LOSSES;"
        "metrics.adopt(LOSSES); check_loss('a + 2*dice_loss'.replace('a', 'mse'), 'sigmoid');"
        "assert not {'torch', 'numpy', 'pandas', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
