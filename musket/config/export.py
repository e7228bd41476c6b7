"""The JSON Schema of configs, made from the models that check them. One schema serves every kind of experiment.

Editors know nothing of the dialect line, so a key is allowed when some kind has it; what a single kind refuses,
``musket check`` says.
"""

from __future__ import annotations

import ast
import inspect
import itertools
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError

from musket.config import legacy, schema
from musket.config.bind import Option, Options, options_of, strict
from musket.config.schema import DIALECTS, ExperimentSpec, SegmentationSpec, StageSpec
from musket.config.vocabulary import Vocabulary
from musket.core.registry import Registry

Schema = dict[str, Any]


def json_schema(vocabulary: Vocabulary) -> Schema:
    """JSON Schema (draft 2020-12) of a config file.

    Args:
        vocabulary: whose names are listed. Closed kinds are enumerations; where users may add names of their own the
            known ones are proposed and others allowed.
    """
    properties: Schema = {}
    for model in DIALECTS.values():
        for key, own in _properties(model).items():
            properties[key] = _either(properties[key], own) if key in properties else own
    for key, own in _architecture_options(vocabulary).items():
        properties[key] = _either(properties[key], own) if key in properties else own
    for row in legacy.known_keys():
        properties.setdefault(row.key, {"description": row.words, "deprecated": True})
    stage = _properties(StageSpec)
    _name_parts(properties, stage, vocabulary)
    properties["stages"] |= {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/stage"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Musket experiment",
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "additionalProperties": False,
        "required": ["stages"],
        "anyOf": [{"required": ["architecture"]}, {"required": ["configPath"]}],
        "dependentRequired": {"backbone": ["architecture", "classes"]},
        "$defs": {
            "stage": {
                "description": inspect.getdoc(StageSpec) or "",
                "type": "object",
                "properties": stage,
                "required": ["epochs"],
                "additionalProperties": False,
            },
            "callbacks": _parts(vocabulary.callbacks),
            "augmenters": _parts(vocabulary.augmenters),
        },
    }


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field of a model, by field."""
    classes = {node.name: node for node in ast.parse(inspect.getsource(schema)).body if isinstance(node, ast.ClassDef)}
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        body = classes[base.__name__].body if base.__name__ in classes else []
        for statement, after in itertools.pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                constant = after.value if isinstance(after, ast.Expr) else None
                text = constant.value if isinstance(constant, ast.Constant) else ""
                docs[statement.target.id] = inspect.cleandoc(str(text))
    return docs


def _properties(model: type[ExperimentSpec | StageSpec]) -> Schema:
    """The properties of a model, with the text below each field as its description."""
    docs = field_docs(model)
    properties = model.model_json_schema(mode="validation")["properties"]
    properties.pop("architecture_options", None)
    return {
        key: {name: value for name, value in own.items() if name != "title"} | {"description": docs[key]}
        for key, own in properties.items()
    }


def _either(first: Schema, second: Schema) -> Schema:
    """What one of two kinds allows; descriptions and defaults are the first one's."""
    notes = ("description", "default", "examples")
    bare = [{key: value for key, value in own.items() if key not in notes} for own in (first, second)]
    if bare[0] == bare[1] or not bare[0]:
        return first
    choices = [choice for own in bare for choice in (own["anyOf"] if list(own) == ["anyOf"] else [own])]
    distinct = [choice for position, choice in enumerate(choices) if choice not in choices[:position]]
    return {"anyOf": distinct, **{key: first[key] for key in notes if key in first}}


def _architecture_options(vocabulary: Vocabulary) -> Schema:
    """Options of all architectures, which stand at the root of a config."""
    properties: Schema = {}
    for entry in vocabulary.architectures.entries():
        supplied = {*SegmentationSpec.model_fields, *vocabulary.supplied}
        for name, option in options_of(entry, supplied).named.items():
            own = _option(option) | {"description": vocabulary.option_docs.get(name, f"Option of {entry.name}.")}
            properties[name] = _either(properties[name], own) if name in properties else own
    return properties


def _name_parts(properties: Schema, stage: Schema, vocabulary: Vocabulary) -> None:
    """Put the names of the registries in."""
    properties["optimizer"] |= {"enum": _names(vocabulary.optimizers)}
    for key, registry in (("architecture", vocabulary.architectures), ("activation", vocabulary.activations)):
        properties[key] = {"anyOf": [{"enum": _names(registry)}, *_choices(properties[key])], **_notes(properties[key])}
    metric = {"anyOf": [{"enum": _names(vocabulary.metrics)}, {"type": "string"}]}
    several: list[Schema] = [metric, {"type": "array", "items": metric}, {"type": "null"}]
    properties["metrics"] = {"anyOf": several, **_notes(properties["metrics"])}
    watched = [f"val_{name}" for name in ("loss", *_names(vocabulary.metrics))]
    properties["primary_metric"] = {
        "anyOf": [{"enum": watched}, {"type": "string"}],
        **_notes(properties["primary_metric"]),
    }
    for holder in (properties, stage):
        holder["loss"] = {
            "anyOf": [{"enum": _names(vocabulary.losses)}, *_choices(holder["loss"])],
            **_notes(holder["loss"]),
        }
    for holder, key, name in (
        (properties, "callbacks", "callbacks"),
        (properties, "augmentation", "augmenters"),
        (properties, "transforms", "augmenters"),
        (stage, "callbacks", "callbacks"),
        (stage, "extra_callbacks", "callbacks"),
    ):
        holder[key] = {"$ref": f"#/$defs/{name}", **_notes(holder[key])}


def _names(registry: Registry) -> list[str]:
    return sorted(registry.spellings(), key=str.lower)


def _choices(own: Schema) -> list[Schema]:
    return own.get("anyOf") or [{key: value for key, value in own.items() if key not in _NOTES}]


def _notes(own: Schema) -> Schema:
    return {key: value for key, value in own.items() if key in _NOTES}


_NOTES = ("description", "default", "examples")


def _parts(registry: Registry) -> Schema:
    """A map of names with their options, or a list of names and one-entry maps."""
    known = {entry.name: _part(options_of(entry), entry.summary) for entry in registry.entries()}
    mapping: Schema = {"type": "object", "properties": known}
    item: Schema = {"anyOf": [{"type": "string"}, {**mapping, "minProperties": 1, "maxProperties": 1}]}
    return {"anyOf": [mapping, {"type": "array", "items": item}, {"type": "null"}]}


def _part(options: Options, summary: str) -> Schema:
    """What may stand behind the name of a part: its options by name, or the first one alone."""
    forms: list[Schema] = [{"type": "null"}]
    properties = {name: _option(option) for name, option in options.named.items()}
    required = [option.name for option in options.named.values() if option.required]
    by_name: Schema = {"type": "object", "properties": properties, "additionalProperties": options.open}
    forms.append(by_name | ({"required": required} if required else {}))
    if options.positional:
        forms.append({"not": {"type": ["object", "null"]}} | {"allOf": [_type(options.positional[0])]})
    return {"description": summary, "anyOf": forms}


def _option(option: Option) -> Schema:
    own = _type(option)
    plain = isinstance(option.default, str | int | float | list | tuple | None) and not option.required
    return own | ({"default": option.default} if plain else {})


def _type(option: Option) -> Schema:
    """JSON Schema of an annotation; anything where it says nothing that JSON could hold."""
    try:
        own = TypeAdapter(strict(option.annotation)).json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError, TypeError):
        return {}
    return own if own.get("anyOf") != [] else {}  # nothing but functions
