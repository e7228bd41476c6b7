"""``musket predict``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from musket.cli.progress import counted
from musket.cli.values import count, numbers
from musket.core.errors import MusketError
from musket.core.identity import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from musket.artifacts.layout import Layout
    from musket.config.schema import ExperimentSpec
    from musket.experiment.facade import Experiment
    from musket.experiment.predict_files import Written
    from musket.experiment.projects.project import Project

FORMATS = ("png", "npy", "csv", "rle")
VIEWS = {"none": None, "horizontal": "Horizontal", "horizontal_and_vertical": "Horizontal_and_vertical", "all": "All"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Which experiment, which images, what to write and where."""
    parser.description = (
        "Predict images with a trained experiment, as the mean of its networks, and write the results to a folder. "
        "Exit code: 0 all were predicted, 1 images could not be (errors.csv names them), 2 nothing was begun."
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="project folder; default: the one you are in")
    parser.add_argument("--name", metavar="NAME", help="an experiment of the project, or a config; default: here")
    parser.add_argument(
        "--input", metavar="DIR", required=True, help="folder of images, one image, or an entry of the key datasets"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, required=True, help="folder to write to, other than that of the images"
    )
    parser.add_argument(
        "--folds", type=numbers, metavar="N[,N]", help="take the mean of these folds; default: all that are trained"
    )
    parser.add_argument("--stage", type=int, default=-1, metavar="N", help="stage; default: the last one")
    parser.add_argument(
        "--tta",
        type=_views,
        metavar="VIEWS",
        help="test-time views: none, Horizontal, Horizontal_and_vertical or all; default: as the config says",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="write png (255 x score, a picture per class), npy (float scores), rle (a table of run lengths), or csv "
        "(a table of scores and classes); default: png for masks, csv for classes",
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        metavar="T",
        help="what a score must exceed, 0 to 1; default 0.5 in rle and csv; png then holds 0 and 255 alone",
    )
    parser.add_argument("--limit", type=count, default=-1, metavar="N", help="at most N images; default: all")
    parser.add_argument(
        "--batch", type=count, metavar="N", help="images at once; default: inference_batch of the config"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="values in place of the config's; those the experiment was trained with hold without being named",
    )


def run(arguments: argparse.Namespace) -> int:
    """Predict and tell what was written.

    Returns:
        0 all images were predicted, 1 some were not, 130 interrupted.

    Raises:
        MusketError: nothing can be predicted that way.
    """
    from musket.core.runtime import silence_telemetry

    silence_telemetry()
    experiment, seeds = _experiment(arguments)
    from musket.experiment.predict_files import predict_files

    try:
        with counted("predicting", "images", arguments.quiet) as progress:
            written = predict_files(
                experiment,
                arguments.input,
                arguments.output,
                seeds=seeds,
                folds=arguments.folds,
                stage=arguments.stage,
                form=arguments.format,
                threshold=arguments.threshold,
                limit=arguments.limit,
                batch=arguments.batch,
                on_progress=progress,
                warn=_warn,
            )
    except KeyboardInterrupt:
        print(f"\ninterrupted; pictures and arrays written so far are in {arguments.output}", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(_as_data(written), indent=2, ensure_ascii=False))
    else:
        print(_summary(written, arguments.output))
    for failure in written.failed[:20]:
        print(f"{failure.id}: {failure.message}", file=sys.stderr)
    if len(written.failed) > 20:
        print(f"... and {len(written.failed) - 20} more in errors.csv", file=sys.stderr)
    return int(bool(written.failed))


def _warn(words: str) -> None:
    print(f"warning: {words}", file=sys.stderr)


def _experiment(arguments: argparse.Namespace) -> tuple[Experiment, list[Layout]]:
    """The experiment that the arguments name, of a search its best trial; of one with seeds the first, and all."""
    from musket.artifacts.layout import SEED_CONFIG, Layout
    from musket.experiment.facade import Experiment
    from musket.experiment.projects.project import CONFIG, find_project, open_project
    from musket.experiment.tasks.places import places

    if arguments.name is None and not Path(CONFIG).is_file():
        raise MusketError("say which experiment: --name NAME, or a path of its config")
    given = arguments.name or "."
    if arguments.project is None or Path(given).suffix in (".yaml", ".yml"):
        project, config = find_project(given)
    else:
        project = open_project(arguments.project)
        config = project.config(given)
    spec = _spec(config, project, arguments)
    found = {name: Layout(path) for name, path in places(given, config, spec).items()}
    several = any(run.config.name == SEED_CONFIG and run.config != config for run in found.values())
    runs = _evaluated(found) if several else list(found.values())
    if runs[0] != Layout(spec.source):
        spec = _spec(runs[0].config, project, arguments)
    return Experiment.from_spec(spec, project), runs if several else []


def _evaluated(seeds: Mapping[str, Layout]) -> list[Layout]:
    """The seeds that are trained to the end. Raises MusketError when none is."""
    missing = [name for name, run in seeds.items() if not run.summary.is_file()]
    if len(missing) == len(seeds):
        raise MusketError(f"no seed is trained to the end yet; wait, or name one alone: {', '.join(missing)}")
    if missing:
        _warn(f"{', '.join(missing)} not trained to the end; predicting with the other seeds alone")
    return [run for name, run in seeds.items() if name not in missing]


def _spec(config: Path, project: Project | None, arguments: argparse.Namespace) -> ExperimentSpec:
    """The config as it was trained, and as the arguments want it."""
    from musket.artifacts.layout import Layout
    from musket.experiment.projects.project import load_spec
    from musket.experiment.state.run_record import stored_run

    stored = stored_run(Layout(config)) or {}
    spec = load_spec(config, project=project, overrides=[*stored.get("overrides", ()), *arguments.overrides])
    return spec if arguments.tta is None else spec.model_copy(update={"testTimeAugmentation": VIEWS[arguments.tta]})


def _summary(written: Written, folder: Path) -> str:
    """What was done, in one line or two."""
    rate = f", {written.images / written.seconds:.3g} images/s" if written.images and written.seconds else ""
    of = f"fold {written.folds[0]}" if len(written.folds) == 1 else f"the mean of folds {_listed(written.folds)}"
    if written.seeds > 1:
        of = f"the mean of {written.seeds} seeds, each of {of.removeprefix('the mean of ')}"
    lines = [f"{_counted(written.images, 'image')} predicted by {of}, stage {written.stage}{rate}; written to {folder}"]
    if written.failed:
        lines.append(f"{_counted(len(written.failed), 'image')} could not be predicted; see {folder / 'errors.csv'}")
    if written.passed_over:
        lines.append(f"{_counted(len(written.passed_over), 'file')} of the folder passed over, being no images")
    if written.not_searched:
        count = _counted(len(written.not_searched), "sub-folder")
        lines.append(f"{count} not searched: {examples(written.not_searched)}")
    return "\n".join(lines)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("" if count == 1 else "s")


def _listed(folds: list[int]) -> str:
    return ", ".join(map(str, folds))


def _as_data(written: Written) -> dict[str, object]:
    return {
        "images": written.images,
        "folds": written.folds,
        "stage": written.stage,
        "seeds": written.seeds,
        "seconds": round(written.seconds, 3),
        "files": [str(path) for path in written.files],
        "failed": [{"image": failure.id, "error": failure.message} for failure in written.failed],
        "passed_over": written.passed_over,
        "not_searched": written.not_searched,
    }


def _views(text: str) -> str:
    if text.lower() not in VIEWS:
        raise argparse.ArgumentTypeError(f"found {text!r}; write none, Horizontal, Horizontal_and_vertical or all")
    return text.lower()


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; write a number from 0 to 1")
    return number
