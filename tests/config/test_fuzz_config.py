"""Mutations of valid configs end in a ConfigError that says something, or in a spec that shows the mutation."""

from __future__ import annotations

import contextlib
import copy
import random
import signal
import string
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from pydantic import BaseModel

from musket.config.check import Vocabulary, check_text
from musket.config.read import parse, to_yaml
from musket.config.schema import DIALECTS, ExperimentSpec, StageSpec
from musket.config.tree import plain
from musket.core.errors import ConfigError, ConfigWarning

CASES = 2000
BASES = (
    """\
#%Musket Segmentation 1.0
architecture: Unet
backbone: resnet34
classes: 1
loss: binary_crossentropy
metrics: [binary_accuracy, dice]
stages:
  - epochs: 2
""",
    """\
backbone: resnet18
architecture: Unet
augmentation:
  Fliplr: 0.7
  Affine: {rotate: [-10, 10], scale: [0.8, 1.2]}
classes: 3
activation: softmax
encoder_weights: null
shape: [320, 256, 4]
decoder_filters: [64, 32]
testSplit: 0.4
optimizer: SGD
batch: 8
lr: 1e-4
clipnorm: 2.5
metrics:
  - iou
  - dice
primary_metric: val_iou
primary_metric_mode: max
callbacks:
  EarlyStopping:
    patience: 15
    monitor: val_iou
    min_delta: 0.01
  Cycle: {base_lr: 0.1, max_lr: 0.2, then: {EarlyStopping: {patience: 4}}}
loss: binary_crossentropy+0.1*dice_loss
dataset: {get_train: [images]}
datasets:
  other: {get_train: {folder: b, size: 2}}
folds_count: 3
random_state: 7
stratified: true
imports: [a, b]
stages:
  - epochs: 100
    negatives: none
    validation_negatives: real
  - epochs: 50
    lr: 0.01
    loss: dice_loss
    negatives: 2
    extra_callbacks: {EarlyStopping: {patience: 2}}
  - {epochs: 7, initial_weights: a/b, callbacks: {}, unfreeze_encoder: true}
""",
    """\
#%Musket Classification 1.0
architecture: resnet34
classes: [4, 2]
activation: [softmax, softmax]
loss: [binary_crossentropy, dice_loss]
pooling: max
dropout: 0.3
stages: [{epochs: 3}]
""",
    """\
#%Musket MMDetection 1.0
configPath: htc.py
classes: 2
shape: [[800, 1333], [640, 1000]]
multiscaleMode: range
threshold: 0.6
stages: [{epochs: 3, negatives: 1}]
""",
)

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3.5, 1e308, 10**30, 10**400, float("inf"), float("nan"), 1e-320),
    *("", " ", "yes", "none", "null", "1e-3", "٣", "0x10", "1_0", "a\tb", "ü" * 50, "🙂", "\u202e", "x" * 5000, "\x85"),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        {"a": {"b": {"c": 1}}},
        [1, [2, [3]]],
        {"Fliplr": {"p": {}}},
        [{"a": 1, "b": 2}],
    ),
    *("epochs", "../../x.pth", "a+b*c", "lovasz_loss", "val_dice", "*a", "&a", "!!python/name:os.system", "{", "- "),
)

Data = dict[str, Any]
Path = tuple[str | int, ...]


def paths(data: Any, at: Path = ()) -> Iterator[Path]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from paths(value, (*at, key))


def holder(data: Any, path: Path) -> Any:
    for step in path[:-1]:
        data = data[step]
    return data


def typo(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word) + 1)
    letter = rng.choice([*string.ascii_letters, *"_-. \u0430\u00e9"])
    kind = rng.randrange(4)
    if kind == 0 or not word:
        return word[:place] + letter + word[place:]
    if kind == 1:
        return word[:place] + word[place + 1 :]
    if kind == 2:
        return word[:place] + letter + word[place + 1 :]
    return (
        word[: place - 1] + word[place : place + 1] + word[place - 1 : place] + word[place + 1 :]
        if place
        else word[::-1]
    )


# ------------------------------------------------------------------------------------- mutations of data, of text


def wrong_value(data: Data, rng: random.Random) -> None:
    path = rng.choice(list(paths(data)))
    holder(data, path)[path[-1]] = copy.deepcopy(rng.choice(ODD))


def misspelt_key(data: Data, rng: random.Random) -> None:
    path = rng.choice([path for path in paths(data) if isinstance(path[-1], str)])
    inside = holder(data, path)
    inside[typo(str(path[-1]), rng)] = inside.pop(path[-1])


def misspelt_value(data: Data, rng: random.Random) -> None:
    path = rng.choice(list(paths(data)))
    inside = holder(data, path)
    inside[path[-1]] = typo(str(inside[path[-1]]), rng) if isinstance(inside[path[-1]], str) else inside[path[-1]]


def missing_key(data: Data, rng: random.Random) -> None:
    path = rng.choice(list(paths(data)))
    del holder(data, path)[path[-1]]


def moved(data: Data, rng: random.Random) -> None:
    first, second = rng.choice(list(paths(data))), rng.choice(list(paths(data)))
    value = copy.deepcopy(holder(data, second)[second[-1]])
    holder(data, first)[first[-1]] = value


def wrapped(data: Data, rng: random.Random) -> None:
    path = rng.choice(list(paths(data)))
    inside = holder(data, path)
    inside[path[-1]] = rng.choice([[inside[path[-1]]], {"x": inside[path[-1]]}, [inside[path[-1]]] * 3])


def new_key(data: Data, rng: random.Random) -> None:
    known = [key for model in DIALECTS.values() for key in model.model_fields]
    places = [data, *(holder(data, path)[path[-1]] for path in paths(data))]
    inside = rng.choice([place for place in places if isinstance(place, dict)])
    inside.setdefault(rng.choice(known), copy.deepcopy(rng.choice(ODD)))


def far_too_deep(data: Data, rng: random.Random) -> None:
    value: Any = 1
    for _ in range(rng.choice([5, 31, 40, 80])):
        value = [value] if rng.random() < 0.5 else {"a": value}
    data[rng.choice(list(data))] = value


DATA = (wrong_value, misspelt_key, misspelt_value, missing_key, moved, wrapped, new_key, far_too_deep)


def truncated(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text))]


def scrambled(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text))
    return (
        text[:place]
        + rng.choice([*"{}[]:,#&*!|>'\"%@`-\t\0\x07\u2028\ud800 \n", "\n---\n", "\r", "<<: "])
        + text[place:]
    )


def duplicated(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return "".join(lines)


def outdented(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    lines[place] = rng.choice(["  ", "\t", " "]) + lines[place] if rng.random() < 0.5 else lines[place].lstrip()
    return "".join(lines)


def anchored(text: str, rng: random.Random) -> str:
    return text + rng.choice(
        [
            "callbacks: &a {EarlyStopping: *a}\n",
            "imports: &a [*a]\n",
            "declarations: &a {b: &b {c: [*b]}}\n",
            "tasks: {<<: *nothing}\n",
            "tasks: &a {x: 1}\ndeclarations: {<<: *a, y: 2}\n",
            "tasks: !!python/object/apply:os.system [x]\n",
            "tasks: {a: &a [1,1,1,1,1,1,1,1,1,1]"
            + "".join(f", k{n}: &k{n} [{', '.join(['*a' if n == 0 else f'*k{n - 1}'] * 10)}]" for n in range(9))
            + "}\n",
        ]
    )


def other_header(text: str, rng: random.Random) -> str:
    kind = rng.choice(["Segmentatoin", "Generic", "x" * 300, "", "1.0", "GradientBoosting 2 3 4", "\N{DIRECT HIT}"])
    return f"#%Musket {kind}\n{text}"


def garbage(text: str, rng: random.Random) -> bytes:
    data = bytearray(text.encode())
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


TEXT: tuple[Callable[[str, random.Random], str | bytes], ...] = (
    *(truncated, scrambled, duplicated, outdented, anchored, other_header, garbage),
)


# ------------------------------------------------------------------------------------------------------ the test


@contextlib.contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Against hangs only, where the system has such an alarm."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def bark(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(text: str | bytes, words: Vocabulary) -> ExperimentSpec | ConfigError:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)
        try:
            return check_text(text, vocabulary=words)
        except ConfigError as error:
            return error


def meaning(value: Any) -> Any:
    """A value as the documentation lets it be written: numbers as text, names in any case, words for true and false."""
    if isinstance(value, dict):
        return {meaning(key): meaning(item) for key, item in value.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [meaning(item) for item in value]
    word = str(value).strip().lower()
    synonyms = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false", "all": "real"}
    with contextlib.suppress(ValueError, OverflowError):
        return float(word)
    return synonyms.get(word, word)


def shows(mutated: Data, base: Data, spec: ExperimentSpec, base_spec: ExperimentSpec) -> bool:
    """Whether a spec shows everything the mutated file says beside or otherwise than the base."""
    if spec.dump() != base_spec.dump() or spec.dialect != base_spec.dialect or spec.notices != base_spec.notices:
        return True
    told, before = meaning(mutated), meaning(base)
    stages = zip(told.pop("stages"), before.pop("stages"), strict=True)
    return _only_defaults(told, before, type(spec)) and all(_only_defaults(*pair, StageSpec) for pair in stages)


def _only_defaults(told: Data, before: Data, model: type[BaseModel]) -> bool:
    """Whether what is new is a key at its default, which rightly shows nowhere."""
    defaults = {name.lower(): info.default for name, info in model.model_fields.items()}
    new = {key: value for key, value in told.items() if before.get(key) != value}
    return all(
        key in defaults
        and (meaning(defaults[key]) == value or (defaults[key] in (None, (), {}) and value in ("false", "", [])))
        for key, value in new.items()
    )


def mutate(rng: random.Random) -> tuple[str, str | bytes]:
    base = rng.choice(BASES)
    header = base.splitlines(keepends=True)[0] if base.startswith("#%") else ""
    text: str | bytes = base
    if rng.random() < 0.65:
        data = plain(parse(base).root)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            with contextlib.suppress(IndexError, KeyError, AttributeError, TypeError, ValueError, RecursionError):
                rng.choice(DATA)(data, rng)
        text = header + to_yaml(data)
    if rng.random() < 0.4:
        text = rng.choice(TEXT)(str(text), rng)
    return base, text


@pytest.mark.parametrize("seed", range(8))
def test_mutated_configs_never_surprise(seed: int, words: Vocabulary) -> None:
    rng = random.Random(seed)
    bases = {base: outcome(base, words) for base in BASES}
    assert all(isinstance(spec, ExperimentSpec) for spec in bases.values())
    refused = 0
    for case in range(CASES // 8):
        base, text = mutate(rng)
        with watchdog(20):
            result = outcome(text, words)
        if isinstance(result, ConfigError):
            refused += 1
            assert result.problems, text
            assert all(problem.message.strip() and str(problem).isprintable() for problem in result.problems), str(
                result
            )
            assert len(str(result)) < 20_000, "a wall of text"
            continue
        base_spec = bases[base]
        assert isinstance(base_spec, ExperimentSpec)
        mutated, original = plain(parse(text).root), plain(parse(base).root)
        assert shows(mutated, original, result, base_spec), f"seed {seed}, case {case}: dropped in silence\n{text!r}"
    assert CASES // 8 * 0.4 < refused < CASES // 8
