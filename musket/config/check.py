"""From a file to a frozen spec, or to one error that lists everything wrong with it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from musket.config import cross_checks, legacy, logged_figures, output_checks, search_checks
from musket.config.bind import bind, options_of
from musket.config.bind_parts import bind_all
from musket.config.image_tasks import check_image_tasks
from musket.config.other_names import called_here
from musket.config.preprocessing import check_preprocessing
from musket.config.read import Document, override, parse, read, to_yaml
from musket.config.schema import (
    AVAILABLE_DIALECTS,
    DIALECT_ALIASES,
    DIALECTS,
    NOT_YET,
    ClassificationSpec,
    ExperimentSpec,
    ImageSpec,
    NetworkSpec,
)
from musket.config.tree import (
    Entry,
    Items,
    Loc,
    Map,
    Node,
    Place,
    Scalar,
    closest,
    describe,
    dotted,
    merge_common,
    plain,
    tree,
)
from musket.config.type_checks import keys_of, validated
from musket.config.vocabulary import Finding, Vocabulary, architecture_entry, architectures_of
from musket.core.errors import ConfigError, ConfigWarning, Problem

Overrides = Mapping[str, Any] | Iterable[str]


def load(
    path: str | Path,
    *,
    dialect: str | None = None,
    vocabulary: Vocabulary,
    overrides: Overrides | None = None,
    common: str | Path | None = None,
) -> ExperimentSpec:
    """Read and check an experiment.

    Args:
        path: the YAML file.
        dialect: kind of experiment when the first line of the file names none. Default: told by the keys.
        vocabulary: every name that may be used.
        overrides: ``key=value`` texts, or values by key, that replace what the file says.
        common: file of defaults for all experiments of a project.

    Returns:
        the spec, with canonical names and options bound to what takes them. Old keys without meaning are in its
        ``notices``; each is also issued as a ConfigWarning.

    Raises:
        ConfigError: everything wrong with the file, at once, in its order.
    """
    document = read(path)
    defaults = None if common is None else read(common, origin=Path(common).name)
    return check(document, dialect=dialect, vocabulary=vocabulary, overrides=overrides, common=defaults)


def check_text(
    text: str | bytes,
    *,
    vocabulary: Vocabulary,
    source: str = "<text>",
    dialect: str | None = None,
    overrides: Overrides | None = None,
    common: str | None = None,
) -> ExperimentSpec:
    """:func:`load` for text in place of files."""
    defaults = None if common is None else parse(common, "common.yaml", origin="common.yaml")
    document = parse(text, source)
    return check(document, dialect=dialect, vocabulary=vocabulary, overrides=overrides, common=defaults)


def check(
    document: Document,
    *,
    dialect: str | None = None,
    vocabulary: Vocabulary,
    overrides: Overrides | None = None,
    common: Document | None = None,
) -> ExperimentSpec:
    """:func:`load` for documents that were read already."""
    overrides = dict(overrides) if isinstance(overrides, Mapping) else list(overrides or ())
    root, problems = merged(document, common, overrides)
    model = DIALECTS[_dialect(document, dialect, root)]
    read_as = partial(_reading, model=model, vocabulary=vocabulary)
    searched = search_checks.is_searched(root)
    reading = search_checks.checked(root, read_as, vocabulary.direction) if searched else read_as(root)
    problems += reading.problems
    of_tasks = check_image_tasks(reading.spec, Path(document.source), vocabulary, reading.root.entries)
    problems += [finding.at(reading.root) for finding in of_tasks]
    if problems:
        raise ConfigError(document.source, problems)
    for notice in reading.notices:
        warnings.warn(ConfigWarning(f"{document.source}: {notice.where} {notice.key}: {notice.message}"), stacklevel=3)
    spec = reading.spec
    spec._source = Path(document.source)
    spec._notices = tuple(reading.notices)
    spec._places = MappingProxyType(dict(_places(reading.root, ())))
    spec._overrides = tuple(_as_texts(overrides))
    return spec


def merged(
    document: Document, common: Document | None = None, overrides: Overrides | None = None
) -> tuple[Map, list[Problem]]:
    """A config with the defaults of its project and other values in place of its own; problems are of the latter."""
    root = document.root if common is None else merge_common(document.root, common.root)
    return _overridden(root, overrides or ())


def unavailable(spec: ExperimentSpec) -> list[Problem]:
    """What the spec asks for that is not built yet; see ``schema.NOT_YET``. Keys at their defaults ask for nothing."""
    if spec.dialect not in AVAILABLE_DIALECTS:
        return [Problem(0, 0, "", f"not available yet: {spec.dialect} experiments")]
    asked = [(key, words) for key, words in NOT_YET.items() if _asked(spec, key)]
    problems = []
    for key, words in asked:
        place = spec.place(key)
        problems.append(Problem(place.line, place.column, key, f"not available yet: {key} ({words})", place.origin))
    return problems


def refuse_unavailable(spec: ExperimentSpec) -> None:
    """Raise ConfigError naming everything in the spec that is not built yet."""
    problems = unavailable(spec)
    if problems:
        raise ConfigError(spec.source, problems)


def _asked(spec: ExperimentSpec, key: str) -> bool:
    root, _, inner = key.partition(".")
    if root not in type(spec).model_fields:
        return False
    value = getattr(spec, root)
    default = type(spec).model_fields[root].get_default(call_default_factory=True)
    if value == default or (not default and value in (None, False, (), {})):
        return False
    if not inner:
        return True
    if isinstance(value, tuple):
        return inner in {part.name for part in value}
    return bool(getattr(value, inner, None))


# ------------------------------------------------------------------------------------------------------------ steps


def _reading(root: Map, *, model: type[ExperimentSpec], vocabulary: Vocabulary) -> search_checks.Reading:
    """A tree, in which nothing is left to search, as a spec."""
    root, notices, problems = legacy.upgrade(root, model.dialect)
    options, findings = _own_keys(root, model, vocabulary)
    spec, absent, found_types = validated(model, root)
    absent |= {"architecture_options"} if findings else set()
    findings += found_types
    spec, found_meaning, remarks = _meaning(spec, options, absent, vocabulary)
    problems += [finding.at(root) for finding in [*findings, *found_meaning]]
    notices += [remark.at(root) for remark in remarks]
    if options:
        spec = spec.model_copy(update={"architecture_options": options})
    return search_checks.Reading(spec, root, problems, notices)


def _overridden(root: Map, overrides: Overrides) -> tuple[Map, list[Problem]]:
    if not isinstance(overrides, Mapping):
        return override(root, overrides)
    for key, value in overrides.items():
        root = root.having(key, tree(value, Place(origin="argument")))
    return root, []


def _as_texts(overrides: Overrides) -> Iterable[str]:
    """Overrides as one would write them on the command line."""
    if not isinstance(overrides, Mapping):
        return overrides
    return (f"{key}={to_yaml(plain(tree(value, Place())), flow=True)}" for key, value in overrides.items())


def _dialect(document: Document, called: str | None, root: Map) -> str:
    """The dialect of the first line, else of the caller, else the one whose keys are there."""
    named = document.dialect if document.dialect is not None else called
    if named is None:
        return _told_by_keys(root)
    known = {name.lower(): name for name in DIALECTS} | DIALECT_ALIASES
    if named.lower() in known:
        return known[named.lower()]
    line = document.dialect_line if document.dialect is not None else 0
    near = closest(named, [*DIALECTS, "MMDetection", "GradientBoosting"])
    hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(DIALECTS)}"
    unknown = f"no such kind of experiment {describe(named)}; {hint}"
    message = unknown if named else f"name a kind: {', '.join(DIALECTS)}"
    raise ConfigError(document.source, [Problem(line, 1 if line else 0, "#%Musket", message)])


def _told_by_keys(root: Map) -> str:
    """Keys that only one kind has decide; without any it is segmentation."""
    keys = root.entries.keys()
    if "backbone" in keys:
        return "Segmentation"
    if "configPath" in keys:
        return "InstanceSegmentation"
    architecture = root.entries.get("architecture")
    if "declarations" in keys or (architecture is not None and not isinstance(architecture.value, Scalar)):
        return "Generic"
    return "Classification" if keys & {"weights", "pooling"} else "Segmentation"


def _own_keys(root: Map, model: type[ExperimentSpec], vocabulary: Vocabulary) -> tuple[dict[str, Any], list[Finding]]:
    """The options of the architecture, which stand among the root keys, and the keys that mean nothing here.

    ``common.yaml`` serves experiments of several kinds: what it says about others is left out.
    """
    fields = keys_of(model)
    elsewhere = {key: name for name, other in DIALECTS.items() for key in keys_of(other) if key not in fields}
    extra = {key: entry for key, entry in root.entries.items() if key not in fields}
    architecture = None
    if issubclass(model, NetworkSpec) and "architecture" in root.entries:
        registry = architectures_of(model, vocabulary)
        architecture = architecture_entry(plain(root.entries["architecture"].value), registry)
    supplied = {*fields, *vocabulary.supplied}  # a key the config has itself is no option
    taken: Collection[str] = ()
    takes_any = False
    if architecture is not None and (extra or not isinstance(architecture.target, str)):
        signature = options_of(architecture, supplied)
        taken, takes_any = signature.named, signature.open
    findings: list[Finding] = []
    options: dict[str, Any] = {}
    for key, entry in extra.items():
        here = None if takes_any or key in taken else called_here(key, fields)
        if here is not None:
            findings.append(Finding((key,), f"no such key; here it is called {here}", key=True))
        elif key in taken or key not in elsewhere:
            options[key] = plain(entry.value)
        elif not entry.place.origin.endswith((".yaml", ".yml")):
            message = f"belongs to {elsewhere[key]} experiments, this is {model.dialect}"
            findings.append(Finding((key,), message, key=True))
    if architecture is None:
        findings += [Finding((key,), _unknown(key, fields), key=True) for key in options]
    elif options or taken:
        options, faults = bind(architecture, (), options, supplied=supplied, known_also=fields)
        for fault in faults:
            loc = (fault.option,) if fault.option else ("architecture",)
            findings.append(Finding(loc, fault.message, key=fault.option not in taken))
    return options, findings


def _unknown(key: str, fields: list[str]) -> str:
    near = closest(key, fields)
    return f"no such key; nearest: {', '.join(near)}" if near else "no such key (all: musket schema)"


def _meaning(
    spec: ExperimentSpec, options: Mapping[str, Any], absent: set[str], vocabulary: Vocabulary
) -> tuple[ExperimentSpec, list[Finding], list[Finding]]:
    """Names and keys that must fit each other. Returns the spec in canonical names, problems and remarks."""
    if isinstance(spec, NetworkSpec) and not spec.activation and spec.classes is not None:
        spec = spec.model_copy(update={"activation": output_checks.default_activation(spec.classes)})
    of_heads = list(output_checks.check_heads(spec, absent)) if isinstance(spec, NetworkSpec) else []
    mismatched = {str(finding.loc[0]) for finding in of_heads} & logged_figures.OF_HEADS
    findings = [
        *cross_checks.check_optimizer(spec, vocabulary),
        *logged_figures.check_metrics(spec, absent | mismatched, vocabulary),
    ]
    findings += logged_figures.check_final_metrics(spec, absent | mismatched, vocabulary)
    findings += cross_checks.check_data(spec, vocabulary)
    findings += check_preprocessing(spec.preprocessing, vocabulary.preprocessors, spec.declarations)
    if isinstance(spec, ImageSpec):
        findings += [*cross_checks.check_freezing(spec, vocabulary), *cross_checks.check_images(spec, absent)]
    remarks = list(cross_checks.without_effect(spec))
    if not isinstance(spec, NetworkSpec):
        spec, found = bind_all(spec, vocabulary, lambda stages: ())
        return spec, [*findings, *found], remarks
    findings += [*of_heads, *output_checks.check_network(spec, options, absent, vocabulary)]
    findings += output_checks.check_losses(spec, absent, vocabulary)
    findings += [] if absent & {"batch", "gpus"} else cross_checks.check_shares(spec)
    remarks += [] if absent & {"encoder_weights", "weights"} else cross_checks.frozen_at_random(spec, vocabulary)
    remarks += output_checks.doubtful_losses(spec, absent, vocabulary)
    network = spec
    known = not absent & {"metrics", "loss", "final_metrics"}
    if isinstance(spec, ClassificationSpec):
        known = known and not (absent | mismatched) & logged_figures.OF_HEADS
        findings += logged_figures.check_head_names(spec, vocabulary) if known else ()
    columns = logged_figures.logged(network, vocabulary) if known else []
    if columns and "primary_metric" not in spec.model_fields_set and spec.primary_metric not in columns:
        spec = spec.model_copy(update={"primary_metric": "val_loss", "primary_metric_mode": "min"})
        words = "not given, and binary_accuracy is not among metrics; val_loss decides which epoch is the best"
        remarks.append(Finding(("primary_metric",), words))
    if columns and "primary_metric" not in absent:
        findings += logged_figures.check_primary(spec, columns, vocabulary)
    remarks += output_checks.not_taken(spec, vocabulary)
    spec, found = bind_all(
        spec, vocabulary, lambda stages: logged_figures.logged(network, vocabulary, stages) if known else ()
    )
    findings += found
    remarks += cross_checks.long_warmups(spec)
    return (spec if findings or absent else cross_checks.canonical(spec, columns, vocabulary)), findings, remarks


def _places(node: Node, loc: Loc) -> Iterable[tuple[str, Place]]:
    children: Iterable[tuple[str | int, Node | Entry]] = ()
    if isinstance(node, Map):
        children = node.entries.items()
    elif isinstance(node, Items):
        children = enumerate(node.items)
    for step, child in children:
        at = (*loc, step)
        yield dotted(at), child.place
        yield from _places(child.value if isinstance(child, Entry) else child, at)
