"""``musket augment``."""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Config, where to write, how much to draw."""
    parser.description = "Draw training samples as they are stored and as augmentation makes them, with masks or label."
    parser.add_argument("file", help="a YAML file, a folder with config.yaml, or the name of an experiment")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("augmentation"),
        help="folder to write to; default: augmentation",
    )
    parser.add_argument("--count", metavar="N", type=int, default=6, help="samples to draw; default: 6")
    parser.add_argument("--columns", metavar="C", type=int, default=4, help="draws of each sample; default: 4")
    parser.add_argument("--seed", metavar="S", type=int, help="draw otherwise than in the first epochs")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the file's")


def run(arguments: argparse.Namespace) -> int:
    """Write ``DIR/augmentation.png``. Raises MusketError when config or data are bad."""
    from musket.core.runtime import silence_telemetry
    from musket.experiment.facade import Experiment
    from musket.experiment.projects.project import find_project, load_spec
    from musket.report.samples import write_png

    silence_telemetry()
    project, config = find_project(arguments.file)
    spec = load_spec(config, project=project, overrides=arguments.overrides)
    experiment = Experiment.from_spec(spec, project)
    sheet = experiment.augmentation_sheet(count=arguments.count, columns=arguments.columns, seed=arguments.seed)
    path = arguments.out / "augmentation.png"
    write_png(path, sheet)
    steps = ", ".join(part.name for part in (*experiment.spec.augmentation, *experiment.spec.transforms))
    print(f"{steps or 'no augmentation: every draw is the same'}\nwritten to {path}")
    return 0
