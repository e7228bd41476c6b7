"""The types of a config's values: what pydantic finds wrong with them, in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from musket.config.other_names import called_here
from musket.config.read import to_yaml
from musket.config.schema import ExperimentSpec, StageSpec
from musket.config.tree import Loc, Map, closest, describe, plain
from musket.config.vocabulary import Finding


def keys_of(model: type[ExperimentSpec]) -> list[str]:
    """The keys a config of a kind may have, options of its architecture aside."""
    return [key for key in model.model_fields if key != "architecture_options"]


def validated(model: type[ExperimentSpec], root: Map) -> tuple[ExperimentSpec, set[str], list[Finding]]:
    """The spec as far as its types are right; refused root keys hold None or their default and are in the set."""
    data = {key: value for key, value in plain(root).items() if key in keys_of(model)}
    try:
        return model.model_validate(data), set(), []
    except ValidationError as error:
        # a list whose items were all refused counts as too short as well: that is said already
        details = [d for d in error.errors(include_url=False) if not (d["type"] == "too_short" and d["input"])]
    findings = [_finding(model, detail) for detail in details]
    absent = {str(detail["loc"][0]) for detail in details if len(detail["loc"]) == 1}
    for detail in details:
        _repair(model, data, detail)
    spec = model.model_validate(data)
    lacking = {key for key in absent if model.model_fields[key].is_required()} - {"stages"}
    return spec.model_copy(update=dict.fromkeys(lacking)), absent, findings


def _repair(model: type[ExperimentSpec], data: dict[str, Any], detail: ErrorDetails) -> None:
    """Put something valid in the place of a refused value, so that the rest can be looked at."""
    key, *inner = detail["loc"]
    info = model.model_fields[str(key)]
    position = inner[0] if inner else None
    if key == "stages" and isinstance(position, int):
        stage = data["stages"][position]
        if len(inner) > 1 and isinstance(stage, dict):
            stage.pop(str(inner[1]), None)
            stage.setdefault("epochs", 1)
        else:
            data["stages"][position] = {"epochs": 1}
    elif info.is_required():
        data[str(key)] = (info.examples or [None])[0]
    else:
        data.pop(str(key), None)


def _finding(model: type[ExperimentSpec], detail: ErrorDetails) -> Finding:
    """A pydantic error in our words."""
    context = detail.get("ctx", {})
    at = tuple(context.get("at", ()))
    loc: Loc = (*detail["loc"], *at)
    found = describe(_inner(detail["input"], at))
    kind = detail["type"]
    if kind == "missing":
        fields = StageSpec.model_fields if loc[0] == "stages" and len(loc) > 1 else model.model_fields
        example = (fields[str(loc[-1])].examples or [None])[0]
        hint = "" if example is None else f"; for example {loc[-1]}: {to_yaml(example, flow=True)}"
        return Finding(loc, f"missing{hint}")
    if kind == "extra_forbidden":
        return Finding(loc, _unknown_in_stage(str(loc[-1]), model), key=True)
    return Finding(loc, f"found {found}; {_rule(detail, context)}")


def _rule(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    kind = detail["type"]
    words = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
    spelled = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}
    if kind in words:
        limit = context[words[kind]]
        return f"must be {spelled[words[kind]]} {limit if isinstance(limit, int) else format(limit, 'g')}"
    if kind == "literal_error":
        allowed = str(context["expected"]).replace("'", "")
        return f"must be {allowed}"
    fixed = {
        "tuple_type": "must be a list",
        "model_type": "must be a map of keys",
        "too_short": "one stage at least is needed: [{epochs: 10}]",
        "dict_type": "must be a map",
    }
    return fixed.get(kind) or (detail["msg"] if kind == "musket" else detail["msg"][:1].lower() + detail["msg"][1:])


def _unknown_in_stage(key: str, model: type[ExperimentSpec]) -> str:
    if key in keys_of(model):
        return "belongs at the root of the file, not into a stage"
    if (here := called_here(key, StageSpec.model_fields)) is not None:
        return f"no such key of a stage; here it is called {here}"
    near = closest(key, StageSpec.model_fields)
    hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(StageSpec.model_fields)}"
    return f"no such key of a stage; {hint}"


def _inner(value: Any, at: Sequence[Any]) -> Any:
    for step in at:
        inside = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if step not in inside:
            break
        value = value[step]
    return value
