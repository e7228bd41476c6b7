"""A stage of training without network or data, to see what hooks do."""

from __future__ import annotations

import io
import math

import torch

from musket.optim.build import build_optimizer
from musket.training.hooks import Hooks, Run


class Stage:
    """A stage without network or data. ``rates`` holds the rate each batch was trained at.

    The second of two weights learns at ``share`` times the rate.
    """

    def __init__(self, hook, lr=0.05, steps=4, epochs=100, momentum=0.0, share=1.0):
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in (1.0, share)]
        optimizer = build_optimizer("SGD", groups, lr, options={"momentum": momentum})
        self.run = Run(0, 0, epochs, steps, torch.nn.Linear(1, 1), optimizer)
        self.hooks = Hooks([hook])
        self.rates = []
        self.momenta = []
        self.rows = []

    def start(self):
        self.hooks.on_stage_start(self.run)
        return self

    def epochs(self, count, **figures):
        """Train epochs; every figure is a list with one value an epoch."""
        for number in range(count):
            self.run.epoch = self.run.step // self.run.steps_per_epoch
            self.hooks.on_epoch_start(self.run)
            for _ in range(self.run.steps_per_epoch):
                self.hooks.on_batch_start(self.run)
                self.rates.append(self.run.lr)
                self.momenta.append(self.run.optimizer.param_groups[0]["momentum"])
                for group in self.run.optimizer.param_groups:
                    assert math.isclose(group["lr"], self.run.lr * group["lr_scale"], rel_tol=1e-12)
                self.run.optimizer.step()
                self.run.step += 1
                self.run.logs["loss"] = 1.0
                self.hooks.on_batch_end(self.run)
            row = {
                "epoch": float(self.run.epoch),
                "loss": 1.0,
                **{name: values[number] for name, values in figures.items()},
            }
            row["lr"] = self.run.lr
            self.hooks.on_epoch_end(self.run, row)
            self.rows.append(row)
        return self

    def state(self):
        """Through a file loaded as tensors only, with the optimizer, as a real run stores it."""
        buffer = io.BytesIO()
        torch.save({"hooks": self.hooks.state_dict(), "optimizer": self.run.optimizer.state_dict()}, buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)

    def resume(self, state, step):
        self.run.optimizer.load_state_dict(state["optimizer"])
        self.hooks.load_state_dict(state["hooks"])
        self.run.step = step
        return self.start()


def rates(hook, count, **options):
    """The rates the first ``count`` batches are trained at."""
    stage = Stage(hook, **options)
    return stage.start().epochs(math.ceil(count / stage.run.steps_per_epoch)).rates[:count]
