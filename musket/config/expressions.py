"""Arithmetic with named values, as texts of a config may hold it: ``2*filters+1``, ``bce_loss+a*dice_loss``."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

MAX_LENGTH = 400
_MOST_BITS = 1000


class ExpressionError(ValueError):
    """A text is no expression, names what has no value, or has no result; in words."""


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression of ``+ - * / ** ^`` (exclusive or), signs, parentheses, numbers and names.

    A name on its own may stand for anything; arithmetic wants numbers. The quotient of two whole numbers is a whole
    number, cut towards zero (7/2 is 3, -7/2 is -3, but 7/2.0 is 3.5), as configs have always been read. A result that
    is whole becomes an int: 4*0.5 is 2.

    Raises:
        ExpressionError: no such expression, a name without value, a division by zero, no finite real number.
    """
    return _result(_parsed(text), values)


def names_used(text: str, names: Collection[str]) -> frozenset[str]:
    """Which of the names :func:`filled` would replace in a text."""
    try:
        tree = _parsed(text)
    except ExpressionError:
        return frozenset()
    return _names(tree) & frozenset(names) if _joined(tree, names) else frozenset()


def filled(text: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression; where it names what has no value, the text with all that is known in its place.

    ``bce+a/2*dice`` becomes ``bce+0.25*dice`` where ``a`` is 0.5, ``tu-net`` becomes ``tu-resnet18`` where ``net`` is
    that text: names without value may be joined by ``+ - *`` only, as losses are. What is no such expression (a path,
    a sentence) stays as it is.

    Raises:
        ExpressionError: there is an expression, but it has no result.
    """
    if not names_used(text, values):
        return text
    tree = _parsed(text)
    numbers = {name: value for name, value in values.items() if _is_number(value)}
    if isinstance(tree, ast.Name) or _names(tree) <= numbers.keys():
        return _result(tree, values)
    data = text.strip().encode()  # positions in a tree count bytes
    for part in sorted(_known_parts(tree, numbers, values), key=lambda node: node.col_offset, reverse=True):
        start, end = _with_parentheses(data, part.col_offset, part.end_col_offset or 0)
        data = data[:start] + _written(_result(part, values), data[:start], data[end:]).encode() + data[end:]
    return data.decode()


# ------------------------------------------------------------------------------------------------------------- trees


def _divided(left: float, right: float) -> float:
    if isinstance(left, int) and isinstance(right, int):
        whole = abs(left) // abs(right)
        return whole if (left < 0) == (right < 0) else -whole
    return left / right


def _power(base: float, exponent: float) -> float:
    if isinstance(base, int) and isinstance(exponent, int) and abs(exponent) * base.bit_length() > _MOST_BITS:
        raise ExpressionError(f"{base}**{exponent} is too large")
    value = base**exponent
    if isinstance(value, complex):
        raise ExpressionError(f"{base}**{exponent} is no real number")
    return value


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided,
    ast.Pow: _power,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
# What may stand between names that are no numbers.
_JOINING = (ast.Add, ast.Sub, ast.Mult)


def _parsed(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression of more than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # texts that are no code at all
            tree = ast.parse(text.strip(), mode="eval").body
        _refuse_others(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text!r} is no expression") from error
    return tree


def _refuse_others(node: ast.expr) -> None:
    """Raises ValueError at anything that is no arithmetic."""
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _refuse_others(node.left)
        _refuse_others(node.right)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        _refuse_others(node.operand)
    elif not (isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and _is_number(node.value))):
        raise ValueError


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names(node: ast.expr) -> frozenset[str]:
    return frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _joined(node: ast.expr, known: Collection[str]) -> bool:
    """Whether other names than the known ones take part in nothing but sums, differences and products."""
    if isinstance(node, ast.Name) or _names(node) <= set(known):
        return True
    if isinstance(node, ast.UnaryOp):
        return _joined(node.operand, known)
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, _JOINING):
        return False
    return _joined(node.left, known) and _joined(node.right, known)


def _known_parts(node: ast.expr, numbers: Collection[str], known: Collection[str]) -> list[ast.expr]:
    """The largest parts that are numbers, less those written as such; and names that stand for something else."""
    if _names(node) <= set(numbers):
        return [] if isinstance(node, ast.Constant) else [node]
    if isinstance(node, ast.Name):
        return [node] if node.id in known else []
    inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return [part for child in inner for part in _known_parts(child, numbers, known)]


def _with_parentheses(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The stretch of a part with the parentheses right around it."""
    while True:
        before, after = data[:start].rstrip(), data[end:].lstrip()
        if not (before.endswith(b"(") and after.startswith(b")")):
            return start, end
        start, end = len(before) - 1, len(data) - len(after) + 1


def _written(value: Any, before: bytes, after: bytes) -> str:
    """A value inside an expression; a sum as a factor gets parentheses."""
    if _is_number(value):
        return repr(value)
    if not isinstance(value, str):
        raise ExpressionError(f"{value!r} can only stand alone, not in an expression")
    factor = before.rstrip().endswith(b"*") or after.lstrip().startswith(b"*")
    return f"({value})" if factor and "+" in value else value


# ------------------------------------------------------------------------------------------------------------ values


def _result(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    try:
        value = _value(node, values)
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None
    except OverflowError:
        raise ExpressionError("the result is too large") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(f"the result is {value}")
    whole = isinstance(value, float) and abs(value) < 2**53 and value == int(value)
    return int(value) if whole else value


def _value(node: ast.expr, values: Mapping[str, Any]) -> int | float:
    if isinstance(node, ast.Constant):
        return node.value  # type: ignore[return-value]  # a number: see _refuse_others
    if isinstance(node, ast.Name):
        if node.id not in values:
            raise ExpressionError(f"{node.id} has no value")
        if not _is_number(values[node.id]):
            raise ExpressionError(f"{node.id} is {values[node.id]!r}, no number")
        return values[node.id]
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_value(node.operand, values))
    assert isinstance(node, ast.BinOp)
    left, right = _value(node.left, values), _value(node.right, values)
    if isinstance(node.op, ast.BitXor) and not (isinstance(left, int) and isinstance(right, int)):
        raise ExpressionError("^ is exclusive or, of whole numbers; a power is written **")
    return _BINARY[type(node.op)](left, right)
