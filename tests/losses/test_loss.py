from __future__ import annotations

import pytest
import torch

from musket.core.errors import TrainingError
from musket.core.registry import RegistryDict, RegistryError
from musket.losses.catalogue import ACTIVATIONS, LOSSES
from musket.losses.compose import build_loss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 1, 5, 7, generator=generator)
    truth = (torch.rand(2, 1, 5, 7, generator=generator) < 0.4).to(torch.uint8)
    return logits, truth


@pytest.fixture
def my_loss():
    """Registers functions under the name my_loss and forgets them."""
    added = []

    def add(function, **facts):
        LOSSES.add("my_loss", function, "A loss of a test.", **facts)
        added.append("my_loss")

    yield add
    for name in added:
        LOSSES.remove(name)


def test_one_term_has_no_parts(batch):
    total, parts = build_loss("dice_loss", "sigmoid")(*batch)
    assert total.ndim == 0
    assert parts == {}


def test_parts_are_unweighted_and_detached(batch):
    logits, truth = batch
    total, parts = build_loss("2*mse + 0.5*MAE", "sigmoid")(logits.requires_grad_(), truth)
    assert list(parts) == ["mse", "MAE"]
    assert float(total.detach()) == pytest.approx(2 * float(parts["mse"]) + 0.5 * float(parts["MAE"]))
    assert total.requires_grad
    assert not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.float32, torch.float64])
def test_truth_of_any_type(batch, dtype):
    logits, truth = batch
    loss = build_loss("binary_crossentropy+soft_dice_loss", "sigmoid")
    assert float(loss(logits, truth.to(dtype))[0]) == float(loss(logits, truth)[0])


@pytest.mark.parametrize("name", ["binary_crossentropy", "log_loss", "focal_loss"])
def test_saturated_logits_keep_their_gradient(name):
    """Wrong beyond what float32 probabilities can hold: cost and push stay in proportion."""
    logits = torch.tensor([[[[60.0, -60.0]]]], requires_grad=True)
    total, _ = build_loss(name, "sigmoid")(logits, torch.tensor([[[[0, 1]]]], dtype=torch.uint8))
    total.backward()
    assert float(total.detach()) > 25
    assert logits.grad[0, 0, 0, 0] > 0.1
    assert logits.grad[0, 0, 0, 1] < -0.1


def test_saturated_softmax_keeps_its_gradient():
    logits = torch.tensor([[100.0, 0, -100]], requires_grad=True)
    total, _ = build_loss("categorical_crossentropy", "softmax")(logits, torch.tensor([[0, 0, 1]]))
    total.backward()
    assert float(total.detach()) == pytest.approx(200)
    assert logits.grad[0].tolist() == pytest.approx([1, 0, -1])


def test_autocast_changes_nothing(batch):
    logits, truth = batch
    loss = build_loss("binary_crossentropy+soft_dice_loss+mse", "sigmoid")
    half = logits.bfloat16()
    expected = loss(half.float(), truth)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = loss(half, truth)
    assert found.dtype == torch.float32
    assert float(found) == float(expected)


def test_float64_stays(batch):
    logits, truth = batch
    assert build_loss("dice_loss", "sigmoid")(logits.double(), truth)[0].dtype == torch.float64


def test_batch_of_one_and_empty_masks(batch):
    logits, _ = batch
    total, _ = build_loss("binary_crossentropy+soft_dice_loss+lovasz_loss+f1_loss", "sigmoid")(
        logits[:1], torch.zeros(1, 1, 5, 7, dtype=torch.bool)
    )
    assert total.isfinite()


def test_shapes_that_would_broadcast_are_refused(batch):
    logits, truth = batch
    with pytest.raises(TrainingError, match=r"loss dice_loss: truth has shape \(2, 5, 7\), prediction \(2, 1, 5, 7\)"):
        build_loss("dice_loss", "sigmoid")(logits, truth[:, 0])


def test_own_loss_sees_truth_and_activated_prediction(batch, my_loss):
    logits, truth = batch
    seen = []

    def squares(y_true, y_pred):
        seen.append((y_true, y_pred))
        return (y_true - y_pred) ** 2  # a tensor: its mean is taken

    my_loss(squares)
    total, parts = build_loss("binary_crossentropy + 3*my_loss", "sigmoid")(logits, truth)
    [(y_true, y_pred)] = seen
    assert y_true.dtype == torch.float32
    torch.testing.assert_close(y_pred, logits.sigmoid())
    assert float(parts["my_loss"]) == pytest.approx(float(((truth.float() - logits.sigmoid()) ** 2).mean()))
    assert float(total) == pytest.approx(float(parts["binary_crossentropy"]) + 3 * float(parts["my_loss"]))


def test_own_loss_may_be_subtracted(batch, my_loss):
    my_loss(lambda y_true, y_pred: y_pred.mean())
    total, _ = build_loss("-my_loss", "linear")(*batch)
    assert float(total) == pytest.approx(-float(batch[0].mean()))


def test_own_loss_that_returns_no_tensor_is_told(batch, my_loss):
    my_loss(lambda y_true, y_pred: 0.5)
    with pytest.raises(TrainingError, match=r"loss my_loss returned float 0\.5; it must return a tensor"):
        build_loss("my_loss", "sigmoid")(*batch)


def test_losses_are_registered_like_a_dictionary():
    custom_objects = RegistryDict(LOSSES)
    custom_objects["my_loss"] = lambda y_true, y_pred: (y_true - y_pred).abs()
    try:
        assert float(build_loss("my_loss", None)(torch.zeros(1, 2), torch.ones(1, 2))[0]) == 1
        with pytest.raises(RegistryError, match="registered already"):
            custom_objects["dice_loss"] = custom_objects["my_loss"]
    finally:
        del custom_objects["my_loss"]


def test_own_activation_feeds_probabilities(batch):
    ACTIVATIONS.add("my_activation", lambda logits: logits.sigmoid() * 0.5)
    try:
        total, _ = build_loss("binary_crossentropy", "my_activation")(*batch)
        expected = torch.nn.functional.binary_cross_entropy(batch[0].sigmoid() * 0.5, batch[1].float())
        assert float(total) == pytest.approx(float(expected))
    finally:
        ACTIVATIONS.remove("my_activation")


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_activations_keep_the_shape_and_describe_themselves(name):
    logits = torch.linspace(-4, 4, 30).view(1, 5, 2, 3)
    found = ACTIVATIONS.load(name)(logits)
    assert found.shape == logits.shape
    assert found.isfinite().all()
    assert ACTIVATIONS.get(name).summary


def test_activations_by_hand():
    logits = torch.tensor([[-3.0, 0, 1, 3]])
    assert ACTIVATIONS.load("hard_sigmoid")(logits).tolist() == [pytest.approx([0, 0.5, 0.7, 1])]
    assert ACTIVATIONS.load("none")(logits) is logits
    assert float(ACTIVATIONS.load("softmax")(logits).sum()) == pytest.approx(1)


@pytest.mark.gpu
def test_losses_on_the_gpu_agree_with_the_cpu(batch):
    logits, truth = batch
    for name in LOSSES.names():
        if name.endswith("categorical_crossentropy"):
            continue
        expression = f"-{name}" if LOSSES.get(name).facts["mode"] == "max" else name
        loss = build_loss(expression, "sigmoid")
        with torch.autocast("cuda", dtype=torch.bfloat16):
            found, _ = loss(logits.cuda(), truth.cuda())
        assert float(found) == pytest.approx(float(loss(logits, truth)[0]), rel=1e-4)
