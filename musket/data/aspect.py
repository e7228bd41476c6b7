"""Images cropped to one ratio of width to height."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from musket.core.cells import Window
from musket.core.errors import MusketError
from musket.core.types import PredictionItem
from musket.data.derived import DerivedDataSet, in_maps, like
from musket.data.draws import draws

Strategy = Literal["center", "random"]


class AspectRatioDataSet(DerivedDataSet):
    """The largest part of every image that has a given ratio, and the same part of its mask; labels stay.

    Args:
        child: dataset of images with masks or labels (or without).
        target_ratio: width and height of the ratio; (4, 3) is a third wider than high.
        strategy: where the part lies. center; random: for training items at a share of the room, drawn from 0 to 1 and
            the same for x and y; in the middle for all others.
        seed: of the draws, which depend on it, the epoch and the position.

    Raises:
        MusketError: a side of the ratio is not above 0, or there is no such strategy.
    """

    def __init__(
        self, child: Any, target_ratio: tuple[float, float] = (1, 1), strategy: Strategy = "center", seed: int = 23232
    ):
        super().__init__(child)
        if len(target_ratio) != 2 or min(target_ratio) <= 0:
            raise MusketError(
                f"AspectRatioDataSet: option target_ratio is (width, height), both above 0; found {target_ratio}"
            )
        if strategy not in get_args(Strategy):
            raise MusketError(f"AspectRatioDataSet: option strategy is center or random; found {strategy!r}")
        self.training_differs = strategy == "random"
        self.target_ratio, self.strategy, self.seed = target_ratio, strategy, seed

    def get_target(self, index: int) -> Any:
        return in_maps(super().get_target(index), lambda mask: mask[self._window(mask, 0.5).slices])

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        at_random = is_train and self.strategy == "random"
        share = float(draws(self.seed, "aspect", index).random()) if at_random else 0.5
        part = self._window(item.x, share).slices
        return like(item, item.x[part], in_maps(item.y, lambda mask: mask[part]))

    def _window(self, array: np.ndarray, share: float) -> Window:
        rows, columns = array.shape[:2]
        wide, high = self.target_ratio
        height = min(rows, max(1, round(columns * high / wide)))
        width = min(columns, max(1, round(rows * wide / high)))
        return Window(round(share * (rows - height)), round(share * (columns - width)), height, width)
