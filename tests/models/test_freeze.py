from __future__ import annotations

import pytest
import torch
from torch import nn

from musket.core.errors import ModelError
from musket.models.freeze import freeze_encoder, unfreeze_encoder
from musket.models.segmenters import build_segmenter


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_segmenter("Unet", encoder="mobilenet_v2", encoder_weights=None, classes=1)


def train_a_little(model):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.rand(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()


def changed(model, before):
    return {
        name.partition(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_frozen_encoder_stays_as_it_is_statistics_included(model):
    freeze_encoder(model)
    before = snapshot(model)
    train_a_little(model)
    assert changed(model, before) == {"decoder", "segmentation_head"}
    assert not any(p.requires_grad for p in model.encoder.parameters())


def test_training_mode_does_not_wake_frozen_normalisations(model):
    freeze_encoder(model)
    model.eval()
    model.train()
    norms = [m for m in model.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert all(m.training for m in model.decoder.modules())
    assert model.encoder.training


def test_an_unfrozen_encoder_learns_again(model):
    freeze_encoder(model)
    unfreeze_encoder(model)
    before = snapshot(model)
    train_a_little(model)
    assert changed(model, before) == {"encoder", "decoder", "segmentation_head"}
    assert any(
        "running_mean" in name and not torch.equal(v, before[name])
        for name, v in model.encoder.state_dict(prefix="encoder.").items()
    )
    assert all(p.requires_grad for p in model.parameters())


def test_freezing_keeps_the_mode(model):
    model.eval()
    freeze_encoder(model)
    assert not any(m.training for m in model.modules())
    unfreeze_encoder(model)
    assert not any(m.training for m in model.modules())


def test_a_module_from_elsewhere_is_refused():
    with pytest.raises(ModelError, match="Linear was built by neither build_segmenter nor build_classifier"):
        freeze_encoder(nn.Linear(1, 1))
