"""Composite losses: ``binary_crossentropy + 0.1*dice_loss``. Reading and checking need no torch; building does."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from musket.core.heads import kind_of
from musket.core.registry import Entry
from musket.losses.catalogue import ACTIVATIONS, LOSSES

if TYPE_CHECKING:
    from musket.losses.loss import Loss

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<operator>[-+*])|(?P<other>\S))"
)
_FORM = "write a sum of weighted names, such as binary_crossentropy+0.1*dice_loss"


@dataclass(frozen=True)
class Term:
    """One loss of a sum, by the name it was given, and its weight."""

    name: str
    weight: float = 1.0


def parse_loss(text: str) -> list[Term]:
    """Read a loss expression.

    A sum or difference of terms; a term is one name and any numbers, joined by ``*`` in any order. A term may begin
    with a sign. Numbers are decimal, with or without exponent; blanks mean nothing. Names are not looked up here.

    Raises:
        ValueError: the text cannot be read; says where.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"loss {text!r} is not an expression; {_FORM}")
    terms: list[Term] = []
    factors: list[re.Match[str]] = []
    sign = 1.0
    may_sign, want_factor = True, True
    for token in _TOKEN.finditer(text):
        kind, piece = str(token.lastgroup), token[str(token.lastgroup)]
        if kind == "other":
            raise _refused(text, token, f"{piece!r} cannot be read")
        if want_factor:
            if kind != "operator":
                factors.append(token)
                may_sign = want_factor = False
            elif may_sign and piece != "*":
                sign = -sign if piece == "-" else sign
                may_sign = False
            else:
                raise _refused(text, token, f"a name or a number is missing before {piece!r}")
        elif kind != "operator":
            raise _refused(text, token, f"an operator (+, - or *) is missing before {piece!r}")
        else:
            want_factor = True
            if piece != "*":
                terms.append(_term(text, sign, factors))
                factors, sign, may_sign = [], -1.0 if piece == "-" else 1.0, True
    if want_factor:
        raise ValueError(f"loss {text!r}: a name is missing at the end; {_FORM}")
    return [*terms, _term(text, sign, factors)]


def _term(text: str, sign: float, factors: list[re.Match[str]]) -> Term:
    names = [token for token in factors if token["name"]]
    if not names:
        raise _refused(text, factors[0], f"the term that begins with {factors[0]['number']} names no loss")
    if len(names) > 1:
        raise _refused(
            text, names[1], f"{names[0]['name']} is multiplied by {names[1]['name']}; losses can only be added"
        )
    weight = math.prod(float(token["number"]) for token in factors if token["number"])
    if not math.isfinite(weight):
        raise _refused(text, factors[0], f"the weight of {names[0]['name']} is too large")
    return Term(names[0]["name"], sign * weight)


def _refused(text: str, token: re.Match[str], what: str) -> ValueError:
    place = token.start(str(token.lastgroup)) + 1
    return ValueError(f"loss {text!r}, character {place}: {what}; {_FORM}")


def check_loss(
    expression: str, activation: str | None = None, *, classes: int | None = None, vectors: bool = False
) -> list[Term]:
    """Read a loss expression and check that it can be trained with, without importing torch.

    Args:
        expression: see :func:`parse_loss`.
        activation: the activation of the network's output; None: what is given is taken as it is.
        classes: of the output; None: not known yet.
        vectors: the output is a vector, not a map.

    Raises:
        ValueError: the text cannot be read, or asks for what cannot be meant.
        RegistryError: a loss or the activation is unknown.
    """
    head = ACTIVATIONS.get(activation or "linear").name
    terms = parse_loss(expression)
    for term in terms:
        entry = LOSSES.get(term.name)
        mode = entry.facts.get("mode")
        if (mode == "max" and term.weight > 0) or (mode == "min" and term.weight < 0):
            verb = "grows" if mode == "max" else "shrinks"
            raise ValueError(
                f"loss {expression!r}: {term.name} {verb} as predictions get better and is given the weight "
                f"{term.weight:g}, so training would make them worse. Change its sign"
            )
        if entry.facts.get("takes_logits") and head == "softmax":
            raise ValueError(
                f"loss {expression!r}: {term.name} takes every class on its own, which contradicts activation softmax. "
                "Use activation sigmoid, or categorical_crossentropy"
            )
        if activation and entry.facts.get("class_weights") and kind_of(head) == "values":
            wanted = " or ".join(entry.facts["on_logits"])
            raise ValueError(
                f"loss {expression!r}: {term.name} takes shares from 0 to 1, which activation {activation} does not "
                f"give, so little or nothing is learned. Use activation {wanted} (networks give logits, losses and "
                "predictions apply it), or a loss of numbers such as mse"
            )
        constant = entry.facts.get("constant_over_one")
        if classes == 1 and (constant == "class" or (constant == "value" and vectors)):
            raise ValueError(
                f"loss {expression!r}: {term.name} compares classes or pixels with each other, and here is one alone, "
                "so nothing is learned. Use binary_crossentropy with sigmoid, mse for a number, or set more classes"
            )
    return terms


def supports_class_weights(expression: str) -> bool:
    """Whether a term of the expression can weigh classes; see :func:`build_loss`. Imports no torch.

    Raises:
        ValueError: the text cannot be read.
        RegistryError: a loss is unknown.
    """
    return any(_weighs_classes(term.name) for term in parse_loss(expression))


def _weighs_classes(name: str) -> bool:
    return bool(LOSSES.get(name).facts.get("class_weights"))


def build_loss(expression: str, activation: str | None, *, class_weights: Sequence[float] | None = None) -> Loss:
    """The loss that an expression names, ready to be called with (logits, truth).

    Args:
        expression: see :func:`parse_loss`.
        activation: what turns the network's logits into predictions; None or linear: what is given is taken as it is.
        class_weights: a number per class, for the terms that can weigh classes (the cross-entropies and focal_loss;
            see :mod:`musket.losses.crossentropy`); the others are as they were. None: all classes alike.

    Raises:
        ValueError: the text cannot be read, or asks for what cannot be meant; no term can weigh classes.
        RegistryError: a loss or the activation is unknown.
    """
    from musket.losses.loss import Loss, Part

    head = ACTIVATIONS.get(activation or "linear")
    terms = check_loss(expression, None if head.name == "linear" else activation)
    if class_weights is not None and not supports_class_weights(expression):
        able = ", ".join(entry.name for entry in LOSSES.entries() if entry.facts.get("class_weights"))
        raise ValueError(f"loss {expression!r}: nothing in it can weigh classes. Use or add one that can ({able})")
    parts = []
    for term in terms:
        entry = LOSSES.get(term.name)
        on_logits = entry.facts.get("on_logits", {}).get(head.name)
        function = Entry(term.name, on_logits).load() if on_logits else entry.load()
        if class_weights is not None and _weighs_classes(term.name):
            function = partial(function, class_weights=tuple(class_weights))
        parts.append(
            Part(
                name=term.name,
                weight=term.weight,
                function=function,
                takes_logits=bool(on_logits or entry.facts.get("takes_logits")),
                same_shape=entry.facts.get("truth") == "same",
            )
        )
    return Loss(tuple(parts), head.load())
