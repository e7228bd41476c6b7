"""What a check of an experiment found: as lines for people, and as plain data for scripts."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from musket.core.heads import kind_of
from musket.core.identity import examples
from musket.report.check_facts import DataFacts, Estimate, Finding, FoldFacts
from musket.report.check_labels import channel_row, describe_labels
from musket.report.words import classes, columns, count

if TYPE_CHECKING:
    from rich.console import Console

    from musket.config.schema import ExperimentSpec, NetworkSpec

_NAMES = 6
_SIZES = 4
_LABEL = 9
_WIDEST = 120


@dataclass(frozen=True)
class CheckReport:
    """The outcome of a check.

    Attributes:
        config: the file.
        essentials: what would be trained, in a line.
        shape: size images are resized to, as text; empty when they are not.
        data: None when only the config was checked.
        folds: empty when the data cannot be split.
        holdout: samples kept out of every fold.
        estimate: None when it was not asked for, or could not be made.
        trials: of a search, at most; 1 where nothing is searched.
        seeds: runs of the experiment, or of every trial.
        problems: what stops training.
        warnings: what does not, but should be looked at.
    """

    config: str
    essentials: str
    shape: str = ""
    data: DataFacts | None = None
    folds: tuple[FoldFacts, ...] = ()
    holdout: int = 0
    estimate: Estimate | None = None
    trials: int = 1
    seeds: int = 1
    problems: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether training would start."""
        return not self.problems

    def as_data(self) -> dict[str, Any]:
        """Everything as plain data, every name included; ``ok`` on top."""
        return {"ok": self.ok, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        return "\n".join(text for _, text in lines(self))


def essentials(spec: ExperimentSpec) -> str:
    """What will be trained, in a line."""
    from musket.config.schema import NetworkSpec
    from musket.config.search_checks import space_of, trials_of

    epochs = " + ".join(str(stage.epochs) for stage in spec.stages)
    parts = [spec.dialect.lower()]
    if isinstance(spec, NetworkSpec):
        backbone = getattr(spec, "backbone", None)
        parts.append(f"{spec.architecture}{f' on {backbone}' if backbone else ''}")
        parts.append(_outputs(spec))
        parts.append(" x ".join(str(side) for side in spec.shape))
    parts.append(f"{spec.folds_count} fold{'s' if spec.folds_count != 1 else ''}")
    parts.append(f"{epochs} epoch{'s' if epochs != '1' else ''}")
    parts.append(f"best by {spec.primary_metric}")
    if spec.num_seeds is not None:
        parts.append(count(spec.num_seeds, "seed"))
    if spec.hyperparameters:
        space = " and ".join(f"{name} {values}" for name, values in space_of(spec).items())
        parts.append(f"{count(trials_of(spec), 'trial')} over {space}")
    return ", ".join(parts)


def _outputs(spec: NetworkSpec) -> str:
    """``1 class (sigmoid)``; ``kind: 5 classes (softmax) + kids: 1 class (sigmoid)``."""
    from musket.config.schema import ClassificationSpec

    if not isinstance(spec, ClassificationSpec):
        return f"{classes(spec.output_channels)} ({', '.join(dict.fromkeys(spec.head_activations))})"
    said = [
        f"{count(size, 'number') if kind_of(activation) == 'values' else classes(size)} ({activation or 'none'})"
        for size, activation in zip(spec.head_sizes, spec.head_activations, strict=True)
    ]
    if len(said) == 1:
        return said[0]
    return " + ".join(f"{name}: {text}" for name, text in zip(spec.named_heads, said, strict=True))


def config_report(spec: ExperimentSpec) -> CheckReport:
    """What is said when only the config was checked."""
    return CheckReport(str(spec.source), essentials(spec))


def show(report: CheckReport, console: Console) -> None:
    """Print a report, in colours where the console has them."""
    from rich.text import Text

    for style, text in lines(report, min(console.width, _WIDEST)):
        label = len(text) - len(text.lstrip()) or _LABEL
        line = Text(text)
        if style:
            line.stylize(style, 0, None if style == _VERDICT[report.ok] else label)
        console.print(line, soft_wrap=True, highlight=False)


_VERDICT = {True: "bold green", False: "bold red"}


def lines(report: CheckReport, width: int = _WIDEST) -> Iterator[tuple[str, str]]:
    """(style of its label or "", text) of every line."""
    yield "bold green", headline(report)
    if report.data is not None:
        yield "", ""
        for label, text in _facts(report, report.data):
            yield from _entry(label, text, width, "bold")
    for label, style, findings in (
        ("warning", "bold yellow", report.warnings),
        ("problem", "bold red", report.problems),
    ):
        if findings:
            yield "", ""
        for finding in findings:
            yield from _entry(label, finding.message, width, style)
            if finding.names:
                yield from _entry("", examples(finding.names, _NAMES), width, "")
    yield "", ""
    yield _VERDICT[report.ok], _verdict(report)


def headline(report: CheckReport) -> str:
    """What would be trained; that it can be said means that the config is good."""
    return f"config ok  {report.config}: {report.essentials}"


def _verdict(report: CheckReport) -> str:
    if report.data is None and report.ok:
        return "only the config was checked: it names no dataset (give one to check(dataset) in Python)"
    if not report.ok:
        return f"training would stop: {count(len(report.problems), 'problem')} to solve first"
    look = f"; {count(len(report.warnings), 'warning')} to look at" if report.warnings else ""
    return f"training would start{look}"


def _entry(label: str, text: str, width: int, style: str) -> Iterator[tuple[str, str]]:
    """A text with its label in front, wrapped beside it; lines that begin with a blank are kept as they are."""
    first = f"{label:<{_LABEL}}"
    for part in text.split("\n"):
        whole = part.startswith(" ")
        wrapped = [part] if whole else textwrap.wrap(part, max(40, width - _LABEL), **_WRAPPING)
        for piece in wrapped:
            yield (style if first.strip() else ""), f"{first}{piece}".rstrip()
            first = " " * _LABEL


_WRAPPING: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def _facts(report: CheckReport, data: DataFacts) -> Iterator[tuple[str, str]]:
    used = "all can be used" if data.usable == data.samples else f"{data.samples - data.usable} cannot be used"
    yield "data", f"{count(data.samples, 'sample')}, {used}; looked at in {duration(data.seconds)}"
    if not data.usable:
        return
    yield "images", _images(report, data)
    channels = data.channels
    if len(channels) > 1 and len({dataclasses.replace(channel, name="") for channel in channels}) == 1:
        channels = (dataclasses.replace(channels[0], name="every channel"),)
    yield "values", "\n".join(columns([["", "lowest", "highest", "mean", "deviation"], *map(channel_row, channels)]))
    if data.heads:
        for number, head in enumerate(data.heads):
            yield "labels", describe_labels(head, with_holdout=report.holdout > 0, explained=number == 0)
    else:
        yield "masks", _masks(data)
    if data.repeated:
        yield "copies", f"{count(data.repeated, 'image')} equal to an earlier one, to the last pixel"
    if report.folds:
        yield "folds", _folds(report, with_empty=data.empty > 0)
    if report.estimate is not None:
        yield from _estimate(report.estimate, report)


def _images(report: CheckReport, data: DataFacts) -> str:
    shown = [f"{width} x {height} ({samples})" for width, height, samples in data.sizes[:_SIZES]]
    if len(data.sizes) == 1:
        shown = [shown[0].partition(" (")[0]]
    if len(data.sizes) > _SIZES:
        sides = [[size[axis] for size in data.sizes] for axis in (0, 1)]
        rest = len(data.sizes) - _SIZES
        spans = " x ".join(f"{min(side)}..{max(side)}" for side in sides)
        shown.append(f"and {rest} more sizes, {spans} in all")
    resized = report.shape and any(f"{width} x {height}" != report.shape for width, height, _ in data.sizes)
    into = f"; resized to {report.shape}" if resized else ""
    return f"{' and '.join(data.depths)}, {', '.join(shown)}{into} (width x height)"


def _masks(data: DataFacts) -> str:
    empty = f"{_share(data.empty, data.usable)} of the masks are empty ({data.empty} of {data.usable})"
    empty = empty if data.empty else "no mask is empty"
    if len(data.classes) == 1:
        return f"objects cover {_percent(data.classes[0][0])} of all pixels; {empty}"
    rows = [["class", "of the pixels", "in samples"]]
    rows += [[str(number), _percent(share), str(shown)] for number, (share, shown) in enumerate(data.classes)]
    return f"{empty}\n" + "\n".join(columns(rows))


def _folds(report: CheckReport, *, with_empty: bool) -> str:
    held = f"{count(report.holdout, 'sample')} held out of every fold\n" if report.holdout else ""
    heads = ["fold", "train"] + ["with objects"] * with_empty + ["validation"] + ["with objects"] * with_empty
    rows = [[*heads, "batches per epoch"]]
    for number, fold in enumerate(report.folds):
        steps = dict.fromkeys("-" if step is None else str(step) for step in fold.steps)
        row = [str(number), str(fold.train), *[str(fold.train_filled)] * with_empty, str(fold.validation)]
        rows.append([*row, *[str(fold.validation_filled)] * with_empty, ", ".join(steps)])
    return held + "\n".join(columns(rows))


def _estimate(estimate: Estimate, report: CheckReport) -> Iterator[tuple[str, str]]:
    there = f" of {_bytes(estimate.memory_there)}" if estimate.memory_there else ""
    yield (
        "memory",
        f"about {_bytes(estimate.memory)}{there} on this machine ({estimate.device}) at batch {estimate.batch}",
    )
    waiting = f", {_percent(estimate.reading)} of it reading" if estimate.reading >= 0.2 else ""
    shortest, longest = estimate.epoch
    each = duration(longest) if longest < 1.5 * shortest else f"{duration(shortest)} to {duration(longest)}"
    runs = [count(report.trials, "trial")] * (report.trials > 1) + [count(report.seeds, "seed")] * (report.seeds > 1)
    all_runs = report.trials * report.seeds
    one = f"{duration(estimate.total)} a run, {duration(all_runs * estimate.total)} for {' x '.join(runs)}"
    total = one if runs else f"{duration(estimate.total)} in all"
    yield "time", f"about {each} an epoch{waiting}; {total} if nothing stops early"


def duration(seconds: float) -> str:
    """A time to be read at a glance: ``0.4 s``, ``35 s``, ``12 min``, ``3 h 20 min``, ``4 days``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min"
    return f"{seconds / 86400:.0f} days"


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"


def _percent(share: float) -> str:
    return "0 %" if not share else "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole)
