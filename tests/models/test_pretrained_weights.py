from __future__ import annotations

import time

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torchvision.models._api import WeightsEnum
from torchvision.models.segmentation import deeplabv3_resnet50

from musket.core.errors import ModelError
from musket.models import weights
from musket.models.segmenters import build_segmenter


def build(architecture="Unet", encoder="mobilenet_v2", **kwargs):
    kwargs.setdefault("classes", 2)
    return build_segmenter(architecture, encoder=encoder, **kwargs)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The hub of smp's encoders, holding weights of mobilenet_v2 made here; gives them."""
    torch.manual_seed(1)
    state = smp.encoders.get_encoder("mobilenet_v2", weights=None).state_dict()
    file = tmp_path / "model.safetensors"
    save_file(state, file)
    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda repo, filename, revision: str(file))
    return state


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No hub can be reached, and nothing was fetched before."""
    monkeypatch.setattr(weights, "reachable", lambda address: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))


def test_weights_fill_the_encoder_and_nothing_else(hub):
    torch.manual_seed(7)
    model = build()
    torch.manual_seed(7)
    plain = build(encoder_weights=None)
    assert all(torch.equal(value, hub[name]) for name, value in model.encoder.state_dict().items())
    for ours, drawn in zip(model.decoder.parameters(), plain.decoder.parameters(), strict=True):
        assert ours.shape == drawn.shape


@pytest.mark.parametrize("copy", [False, True])
def test_weights_for_five_channels(hub, copy):
    first = build(in_channels=5, copy_weights=copy).encoder.features[0][0].weight
    pretrained = hub["features.0.0.weight"]
    assert torch.equal(first[:, :3], pretrained)
    assert torch.equal(first[:, 3], pretrained[:, 2] if copy else torch.zeros_like(pretrained[:, 2]))
    assert torch.equal(first[:, 4], first[:, 3])


def test_weights_for_one_channel_are_the_sum(hub):
    first = build(in_channels=1).encoder.features[0][0].weight
    torch.testing.assert_close(first, hub["features.0.0.weight"].sum(1, keepdim=True))


def test_deeper_layers_are_the_same_for_any_channels(hub):
    state = build(in_channels=4).encoder.state_dict()
    assert all(torch.equal(value, hub[name]) for name, value in state.items() if name != "features.0.0.weight")


def test_nothing_is_fetched_when_trained_weights_follow(no_network):
    model = build(pretrained=False)
    assert model.state_dict().keys() == build(encoder_weights=None).state_dict().keys()


def test_timm_weights_are_adapted_by_our_rule_not_timms(monkeypatch):
    torch.manual_seed(2)
    state = timm.create_model("resnet18").state_dict()
    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *args, **kwargs: dict(state))
    model = build(encoder="tu-resnet18", in_channels=4)
    assert torch.equal(model.encoder.model.conv1.weight[:, :3], state["conv1.weight"])
    assert not model.encoder.model.conv1.weight[:, 3].any()


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "tu-mobilenetv2_100", "nasnetlarge"])
def test_no_network_is_one_clear_error_at_once(no_network, encoder, capfd):
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        build(encoder=encoder)
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert "huggingface.co cannot be reached" in message
    assert "encoder_weights: null" in message
    assert "initial_weights" in message
    assert "Retrying" not in "".join(capfd.readouterr())


def test_the_offline_switch_is_put_back(no_network):
    import huggingface_hub

    before = huggingface_hub.constants.HF_HUB_OFFLINE
    with pytest.raises(ModelError):
        build()
    assert huggingface_hub.constants.HF_HUB_OFFLINE is before


def test_files_fetched_before_are_used_without_a_network(no_network, hub, monkeypatch):
    monkeypatch.setattr(weights, "reachable", lambda address: False)
    assert torch.equal(build().encoder.features[0][0].weight, hub["features.0.0.weight"])


def test_other_download_errors_are_told(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("403 Client Error: Forbidden\nfor url")

    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", refuse)
    with pytest.raises(ModelError, match=r"could not be fetched \(403 Client Error: Forbidden\)"):
        build()


def test_a_closed_port_is_out_of_reach():
    assert not weights.reachable("http://127.0.0.1:9")


def test_a_proxy_stands_in_for_the_host(monkeypatch):
    asked = []

    def connect(address, timeout):
        asked.append(address)
        raise OSError

    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.example:3128"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    monkeypatch.setattr(weights.socket, "create_connection", connect)
    assert not weights.reachable("https://hub.example/models")
    assert asked == [("proxy.example", 3128)]


# --- Pascal VOC -------------------------------------------------------------------------------------------------------


@pytest.fixture
def voc(monkeypatch):
    """torchvision's DeepLabV3 with weights drawn here, given out as the published ones."""
    torch.manual_seed(4)
    network = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, **kwargs: dict(network.state_dict()))
    return network


def test_voc_weights_make_the_network_they_were_trained_in(voc):
    model = build("DeepLabV3", "resnet50", encoder_weights="pascal_voc", classes=21).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        theirs = voc.classifier(voc.backbone(images)["out"])
        ours = model.segmentation_head[0](model.decoder(model.encoder(images)))
    torch.testing.assert_close(ours, theirs)


def test_voc_weights_for_other_classes_leave_the_head_fresh(voc):
    torch.manual_seed(9)
    model = build("DeepLabV3", "resnet50", encoder_weights="pascal_voc", classes=2, in_channels=4)
    torch.manual_seed(9)
    drawn = build("DeepLabV3", "resnet50", encoder_weights=None, classes=2, in_channels=4)
    assert torch.equal(model.segmentation_head[0].weight, drawn.segmentation_head[0].weight)
    assert torch.equal(model.decoder.conv.weight, voc.classifier[1].weight)
    assert torch.equal(model.encoder.conv1.weight[:, :3], voc.backbone.conv1.weight)


def test_voc_weights_do_not_fit_another_decoder(voc):
    with pytest.raises(ModelError, match="the pretrained weights do not fit: decoder"):
        build("DeepLabV3", "resnet50", encoder_weights="pascal_voc", options={"decoder_channels": 64})


def test_voc_without_a_network_is_one_clear_error(no_network):
    with pytest.raises(
        ModelError, match=r"pascal_voc of DeepLabV3 with resnet50 .*download.pytorch.org cannot be reached"
    ):
        build("DeepLabV3", "resnet50", encoder_weights="pascal_voc")


def test_voc_weights_that_are_gone_are_replaced_with_a_warning(hub):
    with pytest.warns(
        UserWarning, match=r"Pascal VOC weights .* not published any more: its encoder starts from ImageNet"
    ):
        model = build("DeepLabV3", "mobilenetv2", encoder_weights="pascal_voc", classes=21)
    assert torch.equal(model.encoder.features[0][0].weight, hub["features.0.0.weight"])


def test_voc_means_nothing_elsewhere():
    with pytest.raises(
        ModelError, match="no Pascal VOC weights for Unet with resnet50, only for DeepLabV3 with resnet50"
    ):
        build("Unet", "resnet50", encoder_weights="pascal_voc")


def test_weights_under_a_non_commercial_licence_are_announced(no_network):
    with pytest.warns(UserWarning, match="cc-by-nc-4.0: not for commercial use"), pytest.raises(ModelError):
        build(encoder="tu-resnext50_32x4d", encoder_weights="fb_ssl_yfcc100m_ft_in1k")
