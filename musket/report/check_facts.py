"""What a check of an experiment finds, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

NONE = "none of them"
"""In place of a class: samples that are of none."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes:
        message: what was found, and what to do about it.
        names: the samples, or pairs of samples, it was found at.
    """

    message: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChannelFacts:
    """Values of one channel over all images of one type."""

    name: str
    low: float
    high: float
    mean: float
    std: float


@dataclass(frozen=True)
class ClassFacts:
    """How many samples are of a class.

    Attributes:
        samples: of all that can be used.
        train, validation: of these, in the parts of each fold; empty when the data cannot be split.
        holdout: of these, held out of every fold.
    """

    name: str
    samples: int
    train: tuple[int, ...] = ()
    validation: tuple[int, ...] = ()
    holdout: int = 0


@dataclass(frozen=True)
class HeadFacts:
    """What the targets of one output of a classification are like.

    Attributes:
        name: empty where there is only one.
        several: a sample may be of several classes, or of none.
        classes: in the order of their numbers; ``none`` of them comes last.
        numbers: of an output that gives numbers.
    """

    name: str
    several: bool = False
    classes: tuple[ClassFacts, ...] = ()
    numbers: tuple[ChannelFacts, ...] = ()


@dataclass(frozen=True)
class DataFacts:
    """What the samples are like.

    Attributes:
        samples: in all; ``usable`` of them can be trained on.
        sizes: (width, height, samples), most frequent first.
        depths: samples by type of the images' values, most frequent first.
        channels: of the most frequent type.
        classes: share of all pixels of every class, 0..1, and number of samples that show it; of masks.
        empty: samples whose mask is empty.
        repeated: samples whose image is equal to an earlier one.
        seconds: how long the look at them took.
        heads: what the targets are like where they are no masks.
    """

    samples: int
    usable: int
    sizes: tuple[tuple[int, int, int], ...]
    depths: dict[str, int]
    channels: tuple[ChannelFacts, ...]
    classes: tuple[tuple[float, int], ...]
    empty: int
    repeated: int
    seconds: float
    heads: tuple[HeadFacts, ...] = ()


@dataclass(frozen=True)
class FoldFacts:
    """How a fold is filled.

    Attributes:
        train: samples to train on; ``train_filled`` of them with an object.
        validation: samples to validate on; ``validation_filled`` of them with an object.
        seen: per stage, samples an epoch chooses from after ``negatives``; None where training cannot start.
        steps: per stage, batches of an epoch; None where training cannot start.
        leaks: validation samples that show what a training sample shows, exactly or nearly.
    """

    train: int
    train_filled: int
    validation: int
    validation_filled: int
    seen: tuple[int | None, ...]
    steps: tuple[int | None, ...]
    leaks: int


@dataclass(frozen=True)
class Estimate:
    """What training would take on this machine, from a trial step and a few samples read.

    Attributes:
        device: its name.
        batch: samples per step that ``memory`` is for.
        memory: bytes on the device; ``memory_there`` bytes it has.
        epoch: seconds of the shortest and of the longest epoch; ``total`` of all epochs of all folds.
        reading: share of the epoch the network waits for samples, 0..1.
    """

    device: str
    batch: int
    memory: int
    memory_there: int
    epoch: tuple[float, float]
    total: float
    reading: float
