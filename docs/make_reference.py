"""Write docs/config.md: every key from the schema's field texts, every name from the registries.

Run it with ``python docs/make_reference.py`` after a change of either; a test fails while the page is out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from musket.artifacts.files import write_atomic
from musket.config import legacy
from musket.config.bind import Option, options_of
from musket.config.export import field_docs
from musket.config.schema import (
    NOT_YET,
    ClassificationSpec,
    ExperimentSpec,
    ImageSpec,
    NetworkSpec,
    SegmentationSpec,
    StageSpec,
)
from musket.config.vocabulary import Vocabulary
from musket.core.registry import Registry
from musket.experiment.vocabulary import vocabulary
from musket.models.catalogue import encoders
from musket.models.classifier_catalogue import networks

PAGE = Path(__file__).parent / "config.md"

INTRO = """\
# Config reference

After this page you can look up every key and every name a config of segmentation or classification may hold.

*This page is written by `docs/make_reference.py` from the code that checks configs. Do not edit it by hand.*
`musket ls` prints the same names, and `musket schema --out musket.schema.json` writes a JSON Schema with which editors
complete keys and underline mistakes.

A key marked **not yet** is known and checked, but what it does is not built: `musket check` and `fit` refuse a config
that sets it to anything but its default.

## How a config is read

- One YAML file is one experiment. Its results are written beside it, so give each config a folder of its own.
- An optional first line names the kind: `#%Musket Segmentation 1.0` or `#%Musket Classification 1.0`. Other kinds
  (Generic, InstanceSegmentation) are checked but cannot be trained yet.
- Unknown keys, wrong types and unknown names are errors, all reported at once with their lines.
- `1e-3` is a number. So is `"0.001"`.
- In a project, what `common.yaml` says holds where the experiment says nothing; `datasets`, `callbacks`, `declarations`
  and `tasks` are merged entry by entry.
- `musket check FILE key=value` and `musket fit ... key=value` replace values: `lr=1e-3`, `stages[0].epochs=5`.
  In Python: `musket.parse(path, lr=1e-3)`.

Parts with options (`augmentation`, `callbacks`, `dataset`) are a map of names. Behind a name stand its options by name,
or the first option alone, or nothing:

```yaml fragment
augmentation:
  Fliplr: 0.5            # the first option
  Rotate90:              # no options
callbacks:
  EarlyStopping:         # options by name
    monitor: val_loss
    patience: 10
```

In `dataset`, a list gives options by position: `SimplePNGMaskDataSet: [images, masks]`.
"""

OPTIONS_AT_THE_ROOT = """\
Options of the architecture stand at the root of the file too; see [Architectures](#architectures) and
[Networks of classification](#networks-of-classification).
"""

ANY_TIMM_MODEL = """\
Every timm model works too, by its own name, with or without the tag of its weights. Letter case does not matter.
Options of the library's network stand at the root of the file, such as `drop_path_rate`.
"""


def main() -> None:
    """Write the page."""
    write_atomic(PAGE, page())


def page() -> str:
    """The whole page."""
    words = vocabulary()
    docs = field_docs(NetworkSpec)
    shared = list(ExperimentSpec.model_fields)
    middle = shared.index("dataset")
    parts = [
        INTRO,
        "## Keys: the network\n",
        key_table(NetworkSpec, docs, own_keys(NetworkSpec, ImageSpec)),
        OPTIONS_AT_THE_ROOT,
        "## Keys: segmentation alone\n",
        key_table(SegmentationSpec, field_docs(SegmentationSpec), own_keys(SegmentationSpec, NetworkSpec)),
        "## Keys: classification alone\n",
        key_table(ClassificationSpec, field_docs(ClassificationSpec), own_keys(ClassificationSpec, NetworkSpec)),
        "## Keys: images\n",
        key_table(NetworkSpec, docs, own_keys(ImageSpec, ExperimentSpec)),
        "## Keys: training\n",
        key_table(NetworkSpec, docs, shared[:middle]),
        "## Keys: data and splits\n",
        key_table(NetworkSpec, docs, shared[middle:]),
        "## Keys of a stage\n",
        key_table(StageSpec, field_docs(StageSpec), list(StageSpec.model_fields), stage=True),
        "## Old keys\n",
        "Keys of Musket ML that are read otherwise, have no effect any more, or are refused with a hint.\n",
        table("Key", "What becomes of it", rows=old_keys()),
        "## Architectures\n",
        "`backbone`, `encoder_weights`, `classes`, `shape` and `activation` are given to all of them.\n",
        table("Name", "What it is", "Options, with their defaults", rows=with_options(words.architectures, words)),
        table("Option", "Meaning", rows=((f"`{name}`", text) for name, text in words.option_docs.items())),
        "## Backbones\n",
        "Every timm model works too, by its own name or with `tu-` before it (`tu-convnext_tiny`).\n",
        backbones(),
        "## Networks of classification\n",
        ANY_TIMM_MODEL,
        table("Name", "What it is", "Network of the library", rows=classifiers(words.networks)),
        "## Losses\n",
        "A loss is a name or a sum: `binary_crossentropy+0.5*soft_dice_loss`.\n",
        named(words.losses),
        "## Activations\n",
        named(words.activations),
        "## Metrics\n",
        "Every loss can be tracked as a metric as well.\n",
        named(words.metrics),
        "## Optimizers\n",
        table("Name", "What it is", "`lr` when none is given", rows=optimizers(words.optimizers)),
        "## Callbacks\n",
        table("Name", "What it does", "Options, with their defaults", rows=with_options(words.callbacks)),
        "## Augmenters\n",
        table("Name", "What it does", "Options, with their defaults", rows=with_options(words.augmenters)),
        "## Datasets\n",
        "How they read files: [datasets.md](datasets.md). What `modules/*.py` define can be named likewise.\n",
        table("Name", "What it holds", "Options, with their defaults", rows=with_options(words.datasets)),
        "## Not yet\n",
        table("Key", "What it will do", rows=keys_to_come()),
    ]
    return "\n".join(parts)


def table(*heads: str, rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def key_table(model: type[BaseModel], docs: dict[str, str], keys: list[str], stage: bool = False) -> str:
    """Keys with what may stand behind them and what they mean."""
    return table("Key", "Value", "Meaning", rows=(key_row(model, docs, key, stage) for key in keys))


def key_row(model: type[BaseModel], docs: dict[str, str], key: str, stage: bool) -> tuple[str, str, str]:
    """One row of :func:`key_table`."""
    info = model.model_fields[key]
    text = " ".join(docs[key].split())
    if info.is_required():
        text += " **Must be given.**"
    elif "Default" not in text:
        text += f" Default {written(info.get_default(call_default_factory=True))}."
    if key in NOT_YET and not stage:
        text = f"**not yet** {text}"
    return f"`{key}`", kind(model.model_json_schema()["properties"][key]), text


def kind(own: dict[str, Any]) -> str:
    """What a value may be, in a few words, from its JSON Schema."""
    if "anyOf" in own:
        return " or ".join(dict.fromkeys(kind(one) for one in own["anyOf"] if one.get("type") != "null"))
    if "enum" in own:
        return ", ".join(f"`{value}`" for value in own["enum"])
    if "prefixItems" in own:
        return f"list of {len(own['prefixItems'])}"
    names = {"string": "text", "boolean": "true or false", "array": "list", "object": "map"}
    types = own.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and types[0] in ("integer", "number"):
        return ("whole number" if types[0] == "integer" else "number") + bounds(own)
    return " or ".join(names[one] for one in types if one in names) or "any"


def bounds(own: dict[str, Any]) -> str:
    """Bounds of a number, as far as they say more than that it is not absurd."""
    low = f">= {own['minimum']:g}" if "minimum" in own else ""
    low = f"> {own['exclusiveMinimum']:g}" if "exclusiveMinimum" in own else low
    high = f"< {own['exclusiveMaximum']:g}" if "exclusiveMaximum" in own else ""
    high = f"<= {own['maximum']:g}" if own.get("maximum", 1000) <= 100 else high
    return " " + ", ".join(filter(None, (low, high))) if low or high else ""


def written(value: Any) -> str:
    """A default in a sentence."""
    return "none" if value in (None, (), {}, "") else f"`{in_yaml(value)}`"


def with_options(registry: Registry, words: Vocabulary | None = None) -> Iterator[tuple[str, str, str]]:
    """Name, summary and options of every entry."""
    supplied = () if words is None else {*SegmentationSpec.model_fields, *words.supplied}
    for entry in registry.entries():
        options = options_of(entry, supplied).named.values()
        yield also(registry, entry.name), entry.summary, ", ".join(map(option, options)) or "none"


def option(own: Option) -> str:
    """An option with its default, or alone when it must be given."""
    return f"`{own.name}`" if own.required else f"`{own.name}: {in_yaml(own.default)}`"


def in_yaml(value: Any) -> str:
    """A value as it would stand in YAML, numbers rounded."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{', '.join(map(in_yaml, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def named(registry: Registry) -> str:
    """Names and summaries; losses that are metrics too are left out of the metrics."""
    entries = (entry for entry in registry.entries() if not entry.facts.get("adopted"))
    return table("Name", "What it is", rows=((also(registry, entry.name), entry.summary) for entry in entries))


def also(registry: Registry, name: str) -> str:
    """A name with its other spellings."""
    others = registry.aliases(name)
    return f"`{name}`" + (f" (also {', '.join(f'`{other}`' for other in others)})" if others else "")


def optimizers(registry: Registry) -> Iterator[tuple[str, str, str]]:
    """Name, summary and rate of every optimizer."""
    for entry in registry.entries():
        yield also(registry, entry.name), entry.summary, f"{entry.facts['defaults']['lr']:g}"


def backbones() -> str:
    """Encoders known by name, then the old names of some."""
    names = encoders()
    old = ", ".join(f"`{name}` (is `{known}`)" for name, known in names.items() if name != known)
    own = ", ".join(f"`{name}`" for name, known in names.items() if name == known)
    return f"{own}.\n\nOld names: {old}.\n"


def old_keys() -> Iterator[tuple[str, str]]:
    """Old root keys, and what becomes of each."""
    for row in legacy.TABLE:
        if {SegmentationSpec.dialect, ClassificationSpec.dialect} & set(row.dialects) and not row.in_stages:
            yield f"`{row.key}`", ("Refused: " if row.action == "refuse" else "") + row.words


def own_keys(model: type[BaseModel], base: type[BaseModel]) -> list[str]:
    """Keys that a kind of config has beyond another one."""
    return [key for key in model.model_fields if key not in base.model_fields and key != "architecture_options"]


def classifiers(registry: Registry) -> Iterator[tuple[str, str, str]]:
    """Name, summary and library network of the documented networks."""
    known = networks()
    for entry in registry.entries():
        if entry.name in known:
            yield f"`{entry.name}`", entry.summary, f"`{known[entry.name]}`"


def keys_to_come() -> Iterator[tuple[str, str]]:
    """Keys that are known but not built yet."""
    return ((f"`{key}`", words) for key, words in NOT_YET.items())


if __name__ == "__main__":
    main()
