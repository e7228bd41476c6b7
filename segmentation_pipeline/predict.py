"""``python -m segmentation_pipeline.predict``: masks of a folder's images, by fold 0 and stage 0 of an experiment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from musket.core.errors import DataError, MusketError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Write a mask per image, ``NAME.png``; see ``Experiment.predict_to_directory``.

    Args:
        argv: ``--inputFolder DIR --output DIR --config FILE``; default: those of the process.

    Returns:
        0 all images were predicted, 1 some could not be, 2 wrong usage or config.
    """
    parser = argparse.ArgumentParser(prog="python -m segmentation_pipeline.predict", description=__doc__)
    parser.add_argument("--inputFolder", required=True, metavar="DIR", help="folder of images")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write masks to")
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML file of the experiment")
    arguments = parser.parse_args(argv)
    from musket.experiment.facade import parse

    try:
        experiment = parse(arguments.config, dialect="segmentation")
        experiment.predict_to_directory(arguments.inputFolder, arguments.output, fold=0, stage=0, batchSize=16)
    except MusketError as error:
        print(error, file=sys.stderr)  # noqa: T201 (a command)
        return 1 if isinstance(error, DataError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
