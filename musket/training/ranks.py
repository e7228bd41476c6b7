"""One network trained by several processes, each with a device of its own, as one of them sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")


class Ranks:
    """What the processes say to each other. All of them make the same calls in the same order.

    Of a batch of ``whole`` samples, sample i is with rank ``i % world`` (:func:`musket.data.sampling.shard`). With a
    single process nothing is said, and everything costs nothing.

    Attributes:
        rank: number of this process, 0..world-1; rank 0 leads: it alone judges, and writes files.
        world: how many processes there are.
    """

    def __init__(self, fabric: Fabric):
        self.fabric = fabric
        self.rank = fabric.global_rank
        self.world = fabric.world_size

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """Rank 0 does what is inside before the others begin it."""
        if not self.leads:
            self.agree(None)
        yield
        if self.leads:
            self.agree(None)

    def join(self, module: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
        """Fabric's face of a network; its gradients become means over the processes.

        Args:
            module: what of it is frozen is so until it is joined anew.
            example: an input, by which parts of the network are found that none reaches.
        """
        module.to(self.fabric.device)
        if self.world > 1:
            unused = self.agree(has_unused_parameters(module, example.to(self.fabric.device)))
            self.fabric.strategy._ddp_kwargs["find_unused_parameters"] = unused  # type: ignore[attr-defined]
        return self.fabric.setup_module(module)

    def own(self, whole: int) -> int:
        """How many of the samples of a batch are with this process."""
        return len(range(self.rank, whole, self.world))

    def gather(self, values: torch.Tensor, whole: int) -> torch.Tensor:
        """The values of all samples of a batch, in the order of the samples.

        Args:
            values: n x ..., of this process's samples. A process without any gives those of one that does not count.

        Returns:
            whole x ..., the same in every process, in the memory layout of ``values``.
        """
        if self.world == 1:
            return values
        rows = -(-whole // self.world)
        if len(values) < rows:  # the last batch: what is put in comes to lie behind the last sample
            values = torch.cat([values, values[-1:]])
        octets = values.contiguous().view(rows, -1).view(torch.uint8)  # not every backend knows every type
        parts = octets.new_empty(self.world * rows, octets.shape[1])
        distributed.all_gather_into_tensor(parts, octets)
        in_order = parts.view(self.world, rows, -1).transpose(0, 1).reshape(parts.shape)
        joined = in_order.view(values.dtype)[:whole].view(whole, *values.shape[1:])
        channels_last = values.ndim == 4 and values.stride(1) < values.stride(3)
        return joined.contiguous(memory_format=torch.channels_last) if channels_last else joined

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the processes."""
        if self.world > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def agree(self, value: T) -> T:
        """What rank 0 has, once it has got so far."""
        return value if self.world == 1 else self.fabric.broadcast(value)

    def of_all(self, value: T) -> list[T]:
        """The plain value of every process, by rank."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, value)
        return found

    def even_out(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Give statistics of batch normalisation, among named tensors, their mean over the processes.

        Where they are not synchronised (on CPUs torch has no such normalisation) each process has those of its own
        samples. Means after every epoch are what timm's ``distribute_bn`` takes.
        """
        if self.world == 1:
            return
        for name, tensor in tensors:
            if name.endswith(("running_mean", "running_var")):
                tensor.copy_(self.sum(tensor) / self.world)


def has_unused_parameters(module: torch.nn.Module, example: torch.Tensor) -> bool:
    """Whether parameters that are to learn have no influence on the output. To wait for their gradients is forever."""
    was_training = module.training
    module.eval()
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(module(example).float().sum(), learning, allow_unused=True)
    module.train(was_training)
    return any(gradient is None for gradient in found)
