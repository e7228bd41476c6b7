"""Shares and partners are read from the mixed targets: those of one-hot rows say both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musket.core.types import Batch
from musket.pipelines.image import ImagePipeline, Normalization, Normalize
from musket.pipelines.mixing import Mixing


def mixing(mixup: float | None = None, cutmix: float | None = None, smoothing: float = 0.0, classes: int = 8) -> Mixing:
    return Mixing(mixup, cutmix, smoothing, ((classes, "softmax"),))


def noise(count: int = 8, side: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def flat(count: int, side: int) -> torch.Tensor:
    """Image i is i everywhere."""
    return torch.arange(float(count)).view(-1, 1, 1, 1).expand(count, 1, side, side).clone()


def test_mixup_mixes_images_as_targets() -> None:
    images, targets = noise(), torch.eye(8)
    torch.manual_seed(0)
    mixed, soft = mixing(mixup=0.4)(images, targets)
    torch.testing.assert_close(mixed, torch.einsum("ij,jchw->ichw", soft, images))
    torch.testing.assert_close(soft.sum(1), torch.ones(8))
    assert ((soft > 0).sum(1) <= 2).all()
    assert (soft.diagonal() >= 0.5).all()
    assert len(set(soft.diagonal().tolist())) > 2  # a share of its own for every sample
    assert torch.equal(images, noise())
    assert torch.equal(targets, torch.eye(8))


@pytest.mark.parametrize(
    ("concentration", "mean"),
    [
        (1.0, 0.75),  # the larger part of a uniform cut
        (1e-4, 1.0),
        (1e5, 0.5),
    ],
)
def test_shares_of_mixup_are_those_of_beta(concentration: float, mean: float) -> None:
    torch.manual_seed(1)
    count = 3000
    _, soft = mixing(mixup=concentration)(torch.zeros(count, 1, 1, 1), torch.eye(count))
    assert float(soft.diagonal().mean()) == pytest.approx(mean, abs=0.01)


def test_masks_are_mixed_like_images() -> None:
    images = noise(6)
    torch.manual_seed(2)
    mixed, soft = mixing(mixup=1.0, classes=3)(images, images)
    torch.testing.assert_close(mixed, soft)
    torch.manual_seed(2)
    mixed, soft = mixing(cutmix=1.0, classes=3)(images, images)
    assert torch.equal(mixed, soft)
    assert not torch.equal(mixed, images)


def test_cutmix_moves_a_window_and_mixes_targets_by_its_area() -> None:
    count, side = 16, 20
    torch.manual_seed(4)
    mixed, soft = mixing(cutmix=1.0, classes=count)(flat(count, side), torch.eye(count))
    seen = 0
    for i in range(count):
        foreign = mixed[i, 0] != i
        share = float(foreign.float().mean())
        assert float(soft[i, i]) == pytest.approx(1 - share)
        assert float(soft[i].sum()) == pytest.approx(1)
        if not share:
            continue
        seen += 1
        (other,) = mixed[i, 0][foreign].unique().long().tolist()
        assert float(soft[i, other]) == pytest.approx(share)
        rows, columns = foreign.any(1).nonzero(), foreign.any(0).nonzero()
        window = foreign[int(rows.min()) : int(rows.max()) + 1, int(columns.min()) : int(columns.max()) + 1]
        assert window.all()
        assert window.sum() == foreign.sum()
    assert seen > count / 2


def test_windows_of_cutmix_are_cut_at_the_border() -> None:
    """A window of side r with its middle anywhere keeps (r - r^2 / 4) of each side on average: 0.3208 over all r^2."""
    torch.manual_seed(5)
    areas = []
    for _ in range(4):
        mixed, _ = mixing(cutmix=1.0, classes=1)(flat(500, 128), torch.ones(500, 1))
        own = torch.arange(500.0).view(-1, 1, 1, 1)
        areas.append((mixed != own).float().mean())
    assert float(torch.stack(areas).mean()) == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.02)


def test_whole_numbers_stay_what_they_are_under_cutmix() -> None:
    images = torch.randint(0, 256, (4, 3, 9, 7), dtype=torch.uint8)
    mixed, _ = mixing(cutmix=1.0, classes=4)(images, torch.eye(4))
    assert mixed.dtype == torch.uint8
    assert mixed.shape == images.shape


def test_either_is_used_for_half_of_the_batches() -> None:
    torch.manual_seed(6)
    images = (torch.arange(8.0) % 2).view(-1, 1, 1, 1).expand(8, 1, 8, 8).clone()
    batches = [mixing(0.5, 0.5)(images, torch.eye(8))[0] for _ in range(200)]
    blended = sum(bool(((batch > 0) & (batch < 1)).any()) for batch in batches)
    assert 70 < blended < 130


def test_draws_come_from_the_seed_of_torch_alone() -> None:
    def once() -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(7)
        np.random.seed(np.random.randint(1000))  # noqa: NPY002 (it must not matter)
        return mixing(1.0, 1.0)(noise(), torch.eye(8))

    (first, soft), (again, same) = once(), once()
    assert torch.equal(first, again)
    assert torch.equal(soft, same)
    assert not torch.equal(mixing(1.0, 1.0)(noise(), torch.eye(8))[0], first)


def test_a_batch_of_one_stays_as_it_is() -> None:
    image, target = noise(1), torch.tensor([[0.0, 1.0]])
    for own in (mixing(mixup=1.0, classes=2), mixing(cutmix=1.0, classes=2)):
        mixed, soft = own(image, target)
        torch.testing.assert_close(mixed, image)
        torch.testing.assert_close(soft, target)


def test_smoothing_knows_the_heads() -> None:
    own = Mixing(None, None, 0.1, ((4, "softmax"), (2, "sigmoid"), (1, "linear")))
    images = noise(1)
    same, soft = own(images, torch.tensor([[0, 1, 0, 0, 1, 0, 7.0]]))
    expected = [0.025, 0.925, 0.025, 0.025, 0.95, 0.05, 7.0]
    torch.testing.assert_close(soft, torch.tensor([expected]))
    assert same is images


def test_smoothing_of_whatever_gives_labels() -> None:
    own = Mixing(None, None, 0.2, ((2, "an_own_one"), (1, "tanh")))
    torch.testing.assert_close(own(noise(1), torch.tensor([[0, 1, 1]]))[1], torch.tensor([[0.1, 0.9, 1.0]]))


def test_smoothing_of_masks() -> None:
    own = Mixing(None, None, 0.2, ((1, "sigmoid"),))
    mask = torch.tensor([[[[0, 1]]]], dtype=torch.uint8)
    torch.testing.assert_close(own(noise(1), mask)[1], torch.tensor([[[[0.1, 0.9]]]]))
    assert mask.tolist() == [[[[0, 1]]]]


def test_smoothing_goes_along_with_mixtures() -> None:
    torch.manual_seed(8)
    _, plain = mixing(mixup=1.0)(noise(), torch.eye(8))
    torch.manual_seed(8)
    _, smoothed = mixing(mixup=1.0, smoothing=0.1)(noise(), torch.eye(8))
    torch.testing.assert_close(smoothed, plain * 0.9 + 0.1 / 8)


# ------------------------------------------------------------------------------------------------------ the pipeline


class Recorder:
    """A loss that notes what it was shown."""

    def __call__(self, logits: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.logits, self.truth = logits, truth
        return logits.mean(), {}


@pytest.mark.parametrize("depth", [torch.uint8, torch.uint16])
def test_images_of_any_depth_are_mixed_without_rounding(depth: torch.dtype) -> None:
    """x / top, less the mean, over the deviation; mixed in float64 here."""
    top = {torch.uint8: 255, torch.uint16: 65535}[depth]
    values = torch.randint(0, top + 1, (6, 3, 4, 4))
    loss = Recorder()
    own = mixing(mixup=1.0, classes=6)
    pipeline = ImagePipeline(loss, torch.sigmoid, Normalize(Normalization((0.5,) * 3, (0.25,) * 3)), mixing=own)
    targets = torch.eye(6)
    batch = Batch(values.to(depth), targets, tuple("abcdef"))
    torch.manual_seed(9)
    pipeline.step(torch.nn.Identity(), batch)
    plain = (values.double() / top - 0.5) / 0.25
    expected = torch.einsum("ij,jchw->ichw", loss.truth.double(), plain)
    torch.testing.assert_close(loss.logits.double(), expected, atol=2e-6, rtol=0)
    assert not torch.equal(loss.truth, torch.eye(6))
    assert torch.equal(batch.images, values.to(depth))
    assert torch.equal(targets, torch.eye(6))


def test_validation_and_prediction_are_plain() -> None:
    loss = Recorder()
    plain = ImagePipeline(loss, torch.sigmoid, Normalize(Normalization((0.0,), (1.0,))))
    own = ImagePipeline(loss, torch.sigmoid, plain.normalize, mixing=mixing(1.0, 1.0, 0.1, classes=4))
    targets = torch.eye(4)
    batch = Batch(noise(4)[:, :1], targets, tuple("abcd"))
    network = torch.nn.Identity().eval()
    state = torch.get_rng_state()
    expected = plain.step(network, batch)
    found = own.step(network, batch)
    assert torch.equal(found.loss, expected.loss)
    assert torch.equal(loss.truth, targets)
    assert torch.equal(own.predict(network.train(), batch.images), plain.predict(network, batch.images))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.gpu
def test_a_device_mixes_as_the_cpu_does() -> None:
    for own in (mixing(mixup=0.3), mixing(cutmix=1.0)):
        torch.manual_seed(10)
        expected = own(noise(), torch.eye(8))
        torch.manual_seed(10)
        found = own(noise().cuda(), torch.eye(8).cuda())
        for here, there in zip(expected, found, strict=True):
            torch.testing.assert_close(there.cpu(), here)
