"""``musket check``."""

from __future__ import annotations

import argparse
import json

from musket.cli.progress import counted


def configure(parser: argparse.ArgumentParser) -> None:
    """File, overrides, and how far to look."""
    parser.description = (
        "Check a config, then open the data it names: every sample is read once. Exit code: 0 training would start, "
        "1 the data stops it, 2 the config does."
    )
    parser.add_argument("file", help="a YAML file, a folder with config.yaml, or the name of an experiment")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--config-only", "--config_only", action="store_true", help="do not open the data")
    depth.add_argument("--quick", action="store_true", help="no trial step, hence no estimate of memory and time")
    parser.add_argument(
        "--fill-cache", "--fill_cache", action="store_true", help="keep what is decoded, so that training need not"
    )
    parser.add_argument("--json", action="store_true", help="print everything found as JSON, with all names")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="values in place of the file's: stages[0].lr=1e-3"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what a check finds.

    Returns:
        0 training would start, 1 the data stops it.

    Raises:
        ConfigError: everything wrong with the config.
    """
    from musket.config.check import refuse_unavailable
    from musket.core.runtime import silence_telemetry
    from musket.experiment.projects.project import find_project, load_spec
    from musket.report.check_report import config_report, headline, show

    silence_telemetry()
    project, config = find_project(arguments.file)
    spec = load_spec(config, project=project, overrides=arguments.overrides)
    refuse_unavailable(spec)
    if arguments.config_only or spec.dataset is None:
        report = config_report(spec)
    else:
        from musket.experiment.facade import Experiment

        with counted("reading", "samples", arguments.quiet) as progress:
            report = Experiment.from_spec(spec, project).check(
                estimate=not arguments.quick, fill_cache=arguments.fill_cache, on_progress=progress
            )
    if arguments.json:
        print(json.dumps(report.as_data(), indent=2, ensure_ascii=False))
    elif arguments.config_only:
        print(headline(report))
    else:
        from rich.console import Console

        show(report, Console())
    return 0 if report.ok else 1
