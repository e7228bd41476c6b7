"""What may happen around the loop. A hook sees the run; the loop knows no hook by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from musket.core.errors import TrainingError
from musket.optim.rates import rate

if TYPE_CHECKING:
    import numpy as np
    import torch

    Pictured: TypeAlias = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]
    """Images (uint8 H x W x C), truths (0/1 H x W x classes) and predictions (0..1) of samples of any sizes."""


@dataclass
class Run:
    """One stage of one fold while it trains: what hooks may read, and the few things they may set.

    Attributes:
        fold, stage: which unit this is.
        epochs: epochs this stage has; ``epoch`` counts from 0.
        steps_per_epoch: training batches of an epoch; ``validation_steps`` batches of a validation pass.
        step: batches done in this stage, over all epochs.
        model: the network (unwrapped); ``optimizer`` its torch optimizer.
        logs: running values of the current epoch (``loss`` so far).
        stop: a sentence, set by a hook that wants training to end after this epoch.
        samples: the first validation samples of this epoch, for pictures.
        rank: number of this process, of those that train the network; all else is the same in each of them. What a
            hook writes, it should write in rank 0 alone.
    """

    fold: int
    stage: int
    epochs: int
    steps_per_epoch: int
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    validation_steps: int = 0
    images_per_epoch: int = 0
    epoch: int = 0
    step: int = 0
    logs: dict[str, float] = field(default_factory=dict)
    stop: str | None = None
    samples: Pictured | None = None
    rank: int = 0

    @property
    def lr(self) -> float:
        """The learning rate; groups of weights with a rate of their own have a share of it."""
        return rate(self.optimizer)


class Hook:
    """Base of hooks: does nothing. States hold plain numbers, texts, lists, dicts and tensors only.

    When a stage is resumed, :meth:`load_state_dict` comes before :meth:`on_stage_start`.
    ``row`` in :meth:`on_epoch_end` is the row of the epoch as it will be logged; a hook may add to it.
    """

    def on_stage_start(self, run: Run) -> None: ...

    def on_epoch_start(self, run: Run) -> None: ...

    def on_batch_start(self, run: Run) -> None: ...

    def on_batch_end(self, run: Run) -> None: ...

    def on_validation_batch_end(self, run: Run) -> None: ...

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None: ...

    def on_stage_end(self, run: Run) -> None:
        """Called once when the stage ends, also by an error or an interruption."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Hooks(Hook):
    """Several hooks as one, called in order. At the end of a stage each is called even when another fails.

    Args:
        idle: hooks behind them that another process calls; here they only have a state.
    """

    def __init__(self, hooks: Iterable[Hook], idle: Iterable[Hook] = ()):
        self.hooks = list(hooks)
        self._all = [*self.hooks, *idle]
        # The calls per batch are the only ones that cost anything: ask only hooks that have them.
        self._batch_start = self._having("on_batch_start")
        self._batch_end = self._having("on_batch_end")
        self._validation_batch_end = self._having("on_validation_batch_end")

    def _having(self, method: str) -> list[Hook]:
        return [hook for hook in self.hooks if getattr(type(hook), method) is not getattr(Hook, method)]

    def on_stage_start(self, run: Run) -> None:
        for hook in self.hooks:
            hook.on_stage_start(run)

    def on_epoch_start(self, run: Run) -> None:
        for hook in self.hooks:
            hook.on_epoch_start(run)

    def on_batch_start(self, run: Run) -> None:
        for hook in self._batch_start:
            hook.on_batch_start(run)

    def on_batch_end(self, run: Run) -> None:
        for hook in self._batch_end:
            hook.on_batch_end(run)

    def on_validation_batch_end(self, run: Run) -> None:
        for hook in self._validation_batch_end:
            hook.on_validation_batch_end(run)

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        for hook in self.hooks:
            hook.on_epoch_end(run, row)

    def on_stage_end(self, run: Run) -> None:
        with contextlib.ExitStack() as stack:  # runs them all, and raises what one raised afterwards
            for hook in reversed(self.hooks):
                stack.callback(hook.on_stage_end, run)

    def state_dict(self) -> dict[str, Any]:
        return {"hooks": [[type(hook).__name__, hook.state_dict()] for hook in self._all]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give each hook its state back. Raises TrainingError when the stored states are those of other hooks."""
        names, stored = [type(hook).__name__ for hook in self._all], [name for name, _ in state["hooks"]]
        if names != stored:
            raise TrainingError(
                f"the stored state is that of the callbacks {', '.join(stored)}; now there are {', '.join(names)}. "
                "Bring the former callbacks back, or start afresh"
            )
        for hook, (_, own) in zip(self._all, state["hooks"], strict=True):
            hook.load_state_dict(own)
