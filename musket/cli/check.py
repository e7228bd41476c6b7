"""``musket check``."""

from __future__ import annotations

import argparse

from musket.config.schema import ExperimentSpec, SegmentationSpec


def configure(parser: argparse.ArgumentParser) -> None:
    """File and overrides."""
    parser.add_argument("file", help="a YAML file, a folder with config.yaml, or the name of an experiment")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="values in place of the file's: stages[0].lr=1e-3"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the essentials of a config, or raise ConfigError with everything wrong with it."""
    from musket.config.check import refuse_unavailable
    from musket.core.runtime import silence_telemetry
    from musket.experiment.project import find_project, load_spec

    silence_telemetry()

    project, config = find_project(arguments.file)
    spec = load_spec(config, project=project, overrides=arguments.overrides)
    refuse_unavailable(spec)
    print(f"ok  {config}: {essentials(spec)}")
    return 0


def essentials(spec: ExperimentSpec) -> str:
    """What will be trained, in a line."""
    epochs = " + ".join(str(stage.epochs) for stage in spec.stages)
    parts = [spec.dialect.lower()]
    if isinstance(spec, SegmentationSpec):
        count = spec.mask_channels
        activation = spec.activation if isinstance(spec.activation, str) else ", ".join(spec.activation)
        parts.append(f"{spec.architecture}{f' on {spec.backbone}' if spec.backbone else ''}")
        parts.append(f"{count} class{'es' if count != 1 else ''} ({activation})")
        parts.append(" x ".join(str(side) for side in spec.shape))
    parts.append(f"{spec.folds_count} fold{'s' if spec.folds_count != 1 else ''}")
    parts.append(f"{epochs} epoch{'s' if epochs != '1' else ''}")
    parts.append(f"best by {spec.primary_metric}")
    return ", ".join(parts)
