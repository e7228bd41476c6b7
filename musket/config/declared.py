"""Datasets described by their files: the keys of such an entry, their types and meaning, and what is wrong with one.

Nothing is opened here; whether files and folders exist is told when the dataset is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationError, field_validator
from pydantic_core import ErrorDetails

from musket.config.tree import Loc, closest, describe
from musket.config.values import Number, Positive, Text, fault, number, whole

Problem: TypeAlias = tuple[Loc, str, bool]
"""Where inside the entry, what is wrong, and whether the key (not its value) is."""

DataType = Literal["bool", "uint8", "uint16", "int32", "float32"]


def _negative(value: Any) -> int:
    count = int(value) if isinstance(value, bool) else whole(value)
    if not 0 <= count <= 1024:
        raise fault("must be a number of channels, from 0 to 1024")
    return count


def _reader(value: Any) -> str:
    names = {"rgba": "RGBA", "monochrome": "monochrome", "csv": "CSV"}
    found = names.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        near = closest(value, names.values()) if isinstance(value, str) else []
        raise fault(f"must be RGBA, monochrome or CSV{f'; nearest: {near[0]}' if near else ''}")
    return found


def _channels(value: Any) -> tuple[int, ...]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise fault("must name a channel at least, as in [0, 1, 2]")
    for position, item in enumerate(values):
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < 1024:
            raise fault("must be a channel: 0, 1, 2 ...", position)
    return tuple(values)


def _colors(value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list | tuple) or not value:
        raise fault("must be a list of colours, each [red, green, blue] or [red, green, blue, alpha]")
    for position, color in enumerate(value):
        whole_numbers = isinstance(color, list | tuple) and all(
            isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 65_535 for part in color
        )
        if not whole_numbers or len(color) not in (3, 4):
            raise fault("must be [red, green, blue] or [red, green, blue, alpha], whole numbers from 0", position)
    return tuple(tuple(color) for color in value)


def _headers(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise fault("must be the name of a column, or a list of them")
    return tuple(names)


def _range(value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise fault("must be [least, most]")
    least, most = number(value[0]), number(value[1])
    if least > most:
        raise fault("must be [least, most]; the first is the larger one")
    return least, most


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Treat(_Form):
    """What becomes of the values a reader gives."""

    type: Literal["as_is", "binary_mask"] = "as_is"
    """as_is: nothing. binary_mask: true above the threshold, or one channel per colour. Default as_is."""
    threshold: Number = 0.0
    """Of binary_mask. Default 0."""
    colors: Annotated[tuple[tuple[int, ...], ...], PlainValidator(_colors)] | None = None
    """Of binary_mask: one channel per colour, true where all parts of it agree. A missing alpha means 255."""
    normalize: Positive | None = None
    """Scale so that the largest value of an image becomes this. Default: no scaling."""


class Binding(_Form):
    """Some channels of the files in a folder, or columns of a table."""

    reader: Annotated[str, PlainValidator(_reader)]
    """RGBA: four channels (grey gives four equal ones, without transparency the fourth is full). monochrome: the mean
    of the colour channels. CSV: numbers of a table, one row per sample."""
    path: Text
    """Folder of images, or CSV file, absolute or relative to the folder of the config."""
    bind: Annotated[tuple[int, ...], PlainValidator(_channels)] | None = None
    """Channels to take, after the treatment, in this order. Default: all."""
    treat: Treat = Treat()
    """What becomes of the values: a type alone, or a map. Default as_is."""
    headers: Annotated[tuple[str, ...], PlainValidator(_headers)] | None = None
    """CSV: columns to take. Default: all but the one with ids."""

    @field_validator("treat", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"type": value}
        # The examples that came with the former framework spell the key with a quotation mark too many.
        return {str(key).rstrip('"'): item for key, item in value.items()} if isinstance(value, Mapping) else value


class Array(_Form):
    """One input or output: the channels of its bindings, side by side."""

    name: Text = "default"
    """For people. Default: default."""
    data_type: DataType | None = None
    """Type of the numbers. Default: as read for inputs, bool for outputs."""
    bindings: tuple[Binding, ...] = ()
    """Where the channels come from."""
    negative: Annotated[int, BeforeValidator(_negative)] = 0
    """An output of this many channels that is empty everywhere. Default: none."""


class Files(_Form):
    """A dataset described by its files."""

    input_path: Text | None = None
    """Folder of images: three channels, in the depth of the files. Short for inputs."""
    output_path: Text | None = None
    """Folder of masks of the same names: above 0 is object. Short for outputs."""
    inputs: tuple[Array, ...] = ()
    """Inputs; an item has the first one as x."""
    outputs: tuple[Array, ...] = ()
    """Outputs; an item has the first one as y. Default: none."""
    negative: Annotated[int, BeforeValidator(_negative)] = 0
    """Beside input_path: images that show no object; empty masks of this many channels. Default: none."""
    scores_path: Text | None = None
    """CSV file with columns id and score: only samples it names are taken."""
    scores_range: Annotated[tuple[float, float], PlainValidator(_range)] | None = None
    """Only samples with a score in [least, most], both included."""

    def all_inputs(self) -> tuple[Array, ...]:
        """Inputs, ``input_path`` spelled out."""
        if self.input_path is None:
            return self.inputs
        return (
            Array(bindings=(Binding(reader="RGBA", path=self.input_path, bind=(0, 1, 2)),), negative=self.negative),
        )

    def all_outputs(self) -> tuple[Array, ...]:
        """Outputs, ``output_path`` spelled out. Those that are empty by declaration come first and have no bindings."""
        empty = [each for each in self.all_inputs() if each.negative]
        outputs: tuple[Array, ...] = tuple(Array(name=each.name, negative=each.negative) for each in empty)
        if self.output_path is None:
            return outputs + self.outputs
        mask = Binding(reader="monochrome", path=self.output_path, bind=(0,), treat=Treat(type="binary_mask"))
        return (*outputs, Array(data_type="bool", bindings=(mask,)))


def problems(form: Any) -> Iterator[Problem]:
    """Everything wrong with an entry that describes files, without opening one."""
    try:
        files = Files.model_validate(form)
    except ValidationError as error:
        yield from (_told(detail) for detail in error.errors(include_url=False))
        return
    yield from _contradictions(files)
    for side, arrays in (("inputs", files.inputs), ("outputs", files.outputs)):
        for position, array in enumerate(arrays):
            yield from _array_problems(array, (side, position), is_input=side == "inputs")


def _contradictions(files: Files) -> Iterator[Problem]:
    if files.input_path is None and not files.inputs:
        yield ("input_path",), "missing; give the folder of images here, or inputs", False
    for short, long in (("input_path", "inputs"), ("output_path", "outputs")):
        if getattr(files, short) is not None and getattr(files, long):
            yield (short,), f"given beside {long}; keep one of them", True
    if files.negative and files.input_path is None:
        yield ("negative",), "stands beside input_path; with inputs it belongs into one of them", True
    if files.negative and (files.output_path is not None or files.outputs):
        yield ("negative",), "contradicts the outputs beside it: these images show no object", True
    if files.scores_range is not None and files.scores_path is None:
        yield ("scores_range",), "no effect without scores_path: the table with id and score", True


def _array_problems(array: Array, loc: Loc, *, is_input: bool) -> Iterator[Problem]:
    if not array.bindings and (is_input or not array.negative):
        yield (*loc, "bindings"), "missing; say where the channels come from: [{reader: RGBA, path: images}]", False
    if array.negative and array.bindings and not is_input:
        yield (*loc, "negative"), "an empty output has no bindings; keep one of them", True
    if len({binding.reader == "CSV" for binding in array.bindings}) > 1:
        yield (*loc, "bindings"), "a table gives numbers, a folder gives images; they cannot be put side by side", True
    for position, binding in enumerate(array.bindings):
        yield from _binding_problems(binding, (*loc, "bindings", position))


def _binding_problems(binding: Binding, loc: Loc) -> Iterator[Problem]:
    treat = binding.treat
    if treat.type == "as_is":
        for key in ("threshold", "colors"):
            if key in treat.model_fields_set:
                yield (*loc, "treat", key), "no effect on values as_is; write type: binary_mask", True
    elif treat.colors is not None:
        if "threshold" in treat.model_fields_set:
            yield (*loc, "treat", "threshold"), "no effect beside colors; keep one of them", True
        if binding.reader != "RGBA":
            yield (*loc, "treat", "colors"), f"needs reader: RGBA; {binding.reader} gives no colours", True
    if binding.headers is not None and binding.reader != "CSV":
        yield (*loc, "headers"), "columns of a table; only reader: CSV has them", True
    count = {"monochrome": 1, "CSV": len(binding.headers or ()) or None}.get(binding.reader)
    count = count if treat.colors is None else len(treat.colors)
    beyond = [channel for channel in binding.bind or () if count is not None and channel >= count]
    if beyond:
        there = "0" if count == 1 else f"0 to {count - 1}" if count else ""
        yield (*loc, "bind"), f"takes channel {beyond[0]}; there is {there}", False


_MODELS: tuple[tuple[tuple[str, ...], type[_Form]], ...] = (
    ((), Files),
    (("inputs",), Array),
    (("outputs",), Array),
    (("inputs", "bindings"), Binding),
    (("outputs", "bindings"), Binding),
    (("inputs", "bindings", "treat"), Treat),
    (("outputs", "bindings", "treat"), Treat),
)


def _told(detail: ErrorDetails) -> Problem:
    """A pydantic error in our words."""
    loc: Loc = tuple(detail["loc"])
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return loc, "missing", False
    if kind == "extra_forbidden":
        model = dict(_MODELS)[tuple(str(step) for step in loc[:-1] if not isinstance(step, int))]
        near = closest(str(loc[-1]), model.model_fields)
        hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(model.model_fields)}"
        return loc, f"no such key; {hint}", True
    words = {"model_type": "a map", "tuple_type": "a list", "literal_error": str(context.get("expected", ""))}
    rule = detail["msg"] if kind == "musket" else f"must be {words[kind].replace(chr(39), '')}" if kind in words else ""
    found = detail["input"]
    for step in context.get("at", ()):
        found = found[step]
    return (*loc, *context.get("at", ())), f"found {describe(found)}; {rule or _bound(detail)}", False


def _bound(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Input should ").replace("be ", "must be ", 1)
