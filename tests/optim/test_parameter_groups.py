from __future__ import annotations

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from musket.core.errors import TrainingError
from musket.models.classifiers import build_classifier
from musket.models.freeze import freeze_encoder
from musket.models.segmenters import build_segmenter
from musket.optim.build import build_optimizer
from musket.optim.groups import parameter_groups
from musket.optim.rates import rate, set_rate, unscaled


class Small(nn.Module):
    """Two convolutions, a normalisation, and a head."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.head = nn.Linear(4, 2)

    def encoder_modules(self):
        return [self.encoder]


def by_name(model, groups):
    """(share of the rate, decay) of every weight; every weight is in one group."""
    found = {}
    for group in groups:
        for parameter in group["params"]:
            assert parameter not in found
            found[parameter] = (group.get("lr_scale"), group.get("weight_decay"))
    assert len(found) == len(list(model.parameters()))
    return {name: found[parameter] for name, parameter in model.named_parameters()}


def test_by_hand():
    model = Small()
    assert by_name(model, parameter_groups(model, weight_decay=0.1, layer_decay=0.5)) == {
        "encoder.0.weight": (0.25, 0.1),
        "encoder.0.bias": (0.25, 0.0),
        "encoder.1.weight": (0.25, 0.0),
        "encoder.1.bias": (0.25, 0.0),
        "encoder.3.weight": (0.5, 0.1),
        "encoder.3.bias": (0.5, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
    }


def test_nothing_asked_for_is_one_plain_group():
    model = Small()
    [group] = parameter_groups(model)
    assert group == {"params": list(model.parameters())}
    assert len(parameter_groups(model, layer_decay=1)) == 1
    [group] = parameter_groups(model, weight_decay=0)
    assert group["weight_decay"] == 0


def test_decay_alone():
    decayed, still = parameter_groups(Small(), weight_decay=0.1)
    assert {parameter.ndim for parameter in decayed["params"]} == {2, 4}
    assert {parameter.ndim for parameter in still["params"]} == {1}
    assert "lr_scale" not in decayed
    assert (decayed["weight_decay"], still["weight_decay"]) == (0.1, 0.0)


def test_rates_alone_leave_the_decay_to_the_optimizer():
    groups = parameter_groups(Small(), layer_decay=0.5)
    assert [group["lr_scale"] for group in groups] == [1.0, 0.5, 0.25]
    assert all("weight_decay" not in group for group in groups)
    assert build_optimizer("AdamW", groups).param_groups[0]["weight_decay"] == 0.01


def test_frozen_weights_are_there_for_a_later_stage():
    with torch.device("meta"):
        model = build_classifier("resnet18", weights=None, classes=[2])
    freeze_encoder(model)
    by_name(model, parameter_groups(model, weight_decay=0.1, layer_decay=0.5))


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "vit_tiny_patch16_224", "convnext_atto", "swin_tiny_patch4_window7_224", "densenet121"),
        *("inception_v3", "mobilenetv2_100", "resnetv2_50", "legacy_seresnet18"),
    ],
)
def test_layers_of_timm_against_timm(name):
    with torch.device("meta"):
        ours = build_classifier(name, weights=None, classes=[3])
        theirs = timm.create_model(name, num_classes=3)
    still = theirs.no_weight_decay() if hasattr(theirs, "no_weight_decay") else ()
    expected = by_name(
        theirs, param_groups_layer_decay(theirs, weight_decay=0.05, layer_decay=0.7, no_weight_decay_list=still)
    )
    classifier = f"{theirs.default_cfg['classifier']}."
    found = by_name(ours, parameter_groups(ours, weight_decay=0.05, layer_decay=0.7))
    for inner, (scale, decay) in expected.items():
        outer = f"heads.0.{inner.removeprefix(classifier)}" if inner.startswith(classifier) else f"encoder.{inner}"
        assert found[outer] == (pytest.approx(scale), decay)


@pytest.mark.parametrize(
    ("encoder", "layers"), [("resnet18", 9), ("tu-resnet18", 9), ("mobilenet_v2", 19), ("vgg11", 8)]
)
def test_blocks_of_other_encoders(encoder, layers):
    """A stem and 2 + 2 + 2 + 2 blocks; 19 blocks; 8 convolutions."""
    with torch.device("meta"):
        model = build_segmenter("FPN", encoder=encoder, encoder_weights=None, classes=1)
    groups = parameter_groups(model, layer_decay=0.5)
    assert [group["lr_scale"] for group in groups] == [0.5**number for number in range(layers + 1)]
    shares = by_name(model, groups)
    assert {share for name, share in shares.items() if not name.startswith("encoder.")} == {(1.0, None)}
    encoders = [share for name, (share, _) in shares.items() if name.startswith("encoder.")]
    assert encoders == sorted(encoders)


def test_a_network_without_encoder_has_no_layers():
    with pytest.raises(TrainingError, match="layer_decay needs a network with an encoder; Linear has none"):
        parameter_groups(nn.Linear(1, 1), layer_decay=0.5)
    assert len(parameter_groups(nn.Linear(1, 1), weight_decay=0.1)) == 2


@pytest.mark.parametrize(("lr", "expected"), [(0.2, 0.2), (None, 0.01)])
def test_an_optimizer_scales_its_rate(lr, expected):
    optimizer = build_optimizer("SGD", parameter_groups(Small(), layer_decay=0.5), lr)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([expected, expected / 2, expected / 4])
    assert rate(optimizer) == expected
    assert optimizer.param_groups[0]["fused"]


def test_setting_rates():
    optimizer = build_optimizer("SGD", parameter_groups(Small(), layer_decay=0.5))
    set_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.2, 0.1])
    with unscaled(optimizer):
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4] * 3)
        for group in optimizer.param_groups:
            group["lr"] = 0.8
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.8, 0.4, 0.2])


def test_each_layer_moves_by_its_share():
    torch.manual_seed(0)
    model = Small()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer("SGD", parameter_groups(model, layer_decay=0.5), 0.1)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {name: float((before[name] - parameter).detach().max()) for name, parameter in model.named_parameters()}
    assert moved["head.weight"] == pytest.approx(0.1, rel=1e-4)
    assert moved["encoder.3.weight"] == pytest.approx(0.05, rel=1e-4)
    assert moved["encoder.0.weight"] == pytest.approx(0.025, rel=1e-4)
