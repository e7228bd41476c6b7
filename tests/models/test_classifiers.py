from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import timm
import torch
from torch import nn

from musket.core.errors import ModelError
from musket.core.registry import RegistryError
from musket.models import weights
from musket.models.catalogue import (
    CLASSIFIERS,
    check_network,
    check_network_weights,
    classifier_models,
    networks,
)
from musket.models.classifiers import build_classifier
from musket.models.freeze import freeze_encoder, unfreeze_encoder


def build(name="resnet18", classes=(3,), **kwargs):
    kwargs.setdefault("weights", None)
    return build_classifier(name, classes=classes, **kwargs)


def ask(model, *shape):
    with torch.inference_mode():
        return model.eval()(torch.rand(*shape))


@pytest.fixture
def resnet_weights(monkeypatch):
    """The hub, holding weights of resnet18 made here; gives timm's own network with them."""
    torch.manual_seed(2)
    network = timm.create_model("resnet18", num_classes=1000).eval()
    state = network.state_dict()
    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *args, **kwargs: dict(state))
    return network


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No hub can be reached, and nothing was fetched before."""
    monkeypatch.setattr(weights, "reachable", lambda address: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


# --- heads ------------------------------------------------------------------------------------------------------------


def test_logits_are_those_of_timm_with_the_same_weights():
    torch.manual_seed(0)
    theirs = timm.create_model("resnet18", num_classes=3).eval()
    ours = build().eval()
    renamed = {
        f"heads.0.{name.removeprefix('fc.')}" if name.startswith("fc.") else f"encoder.{name}": value
        for name, value in theirs.state_dict().items()
    }
    ours.load_state_dict(renamed)
    images = torch.rand(2, 3, 70, 50)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def test_heads_stand_side_by_side():
    model = build(classes=(2, 1, 3))
    assert [name for name in model.state_dict() if not name.startswith("encoder.")] == [
        f"heads.{head}.{kind}" for head in range(3) for kind in ("weight", "bias")
    ]
    with torch.no_grad():
        for number, head in enumerate(model.heads):
            head.weight.zero_()
            head.bias.fill_(number)
    assert ask(model, 2, 3, 64, 64).tolist() == [[0, 0, 1, 2, 2, 2]] * 2


def test_dropout_acts_while_training_only_and_on_each_head_alone():
    torch.manual_seed(0)
    model = build(classes=(1, 1), dropout=0.5)
    model.heads[1].load_state_dict(model.heads[0].state_dict())
    images = torch.rand(4, 3, 32, 32)
    freeze_encoder(model)
    trained = model.train()(images)
    assert not torch.equal(trained[:, 0], trained[:, 1])
    with torch.inference_mode():
        judged = model.eval()(images)
    assert torch.equal(judged[:, 0], judged[:, 1])


def test_one_seed_gives_one_network():
    torch.manual_seed(5)
    first = build("mobilenetv2", classes=(2, 2)).state_dict()
    torch.manual_seed(5)
    second = build("mobilenetv2", classes=(2, 2)).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_vgg_is_without_its_fully_connected_layers():
    """As in Keras without its top: the 14,714,688 weights of 13 convolutions, and one vector of 512."""
    with torch.device("meta"):
        model = build("VGG16")
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == 14_714_688
    assert model.heads[0].in_features == 512


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "inceptionv3", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224"),
        *("dla46x_c", "lambda_resnet26t"),
    ],
)
def test_images_of_any_size(name):
    with torch.device("meta"):
        model = build(name).eval()
        for size in ((32, 32), (65, 81)):
            assert model(torch.empty(2, 3, *size)).shape == (2, 3)


def test_networks_for_one_size_see_images_brought_to_it():
    torch.manual_seed(0)
    model = build("mixer_s32_224")
    grey = torch.full((1, 3, 50, 90), 0.3)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(grey), model(torch.full((1, 3, 224, 224), 0.3)))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet", "densenet121"])
def test_a_batch_of_one_small_image_trains(name):
    model = build(name).train()
    model(torch.rand(1, 3, 32, 32)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_any_number_of_channels(channels):
    model = build(in_channels=channels)
    assert len(model.mean) == len(model.std) == channels
    assert ask(model, 1, channels, 32, 32).shape == (1, 3)


def test_inputs_are_normalised_as_the_network_was_trained():
    assert build().mean == (0.485, 0.456, 0.406)
    with torch.device("meta"):
        assert build("xception").mean == (0.5, 0.5, 0.5)
        assert build("vit_tiny_patch16_224").std == (0.5, 0.5, 0.5)


# --- options ----------------------------------------------------------------------------------------------------------


def test_options_reach_the_network():
    model = build(options={"drop_path_rate": 0.2, "layers": [1, 1, 1, 1], "drop_rate": 0.3})
    dropped = [module.drop_prob for module in model.modules() if type(module).__name__ == "DropPath"]
    assert max(dropped) == pytest.approx(0.2)
    assert len(model.encoder.layer4) == 1
    assert model.encoder.drop_rate == 0.3


def test_stochastic_depth_drops_while_training():
    torch.manual_seed(0)
    model = build(options={"drop_path_rate": 0.5, "zero_init_last": False})
    images = torch.rand(1, 3, 64, 64).expand(4, -1, -1, -1)
    with torch.no_grad():
        trained, judged = model.train()(images), model.eval()(images)
    assert not torch.equal(trained[0], trained[1])
    torch.testing.assert_close(judged[0], judged[1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgg16", {"drop_path_rate": 0.1}, "drop_path_rate: VGG16 takes no such option; nearest: drop_rate"),
        ("resnet18", {"drop_path": 0.1}, "drop_path: resnet18 takes no such option; nearest: .*drop_path_rate"),
        ("resnet18", {"drop_path_rate": "much"}, "drop_path_rate: found .much.; must be a number"),
        ("resnet18", {"num_classes": 5}, "num_classes: resnet18 takes no such option"),
        ("resnet18", {"global_pool": "avg"}, "global_pool: resnet18 takes no such option"),
        ("maxvit_tiny_rw_224", {"dim": 5}, "dim: maxvit_tiny_rw_224 takes no such option"),
        ("MobileNet", {"stem_size": 5}, "MobileNet cannot be built with .*stem_size"),
    ],
)
def test_options_it_does_not_have(name, options, message):
    with pytest.raises(ModelError, match=f"(?i){message}"):
        build(name, options=options)
    assert check_network(name, options) is not None


def test_options_of_a_network_made_after_a_plan():
    """maxvit takes its width by the fields of a plan, not by name."""
    assert check_network("maxvit_tiny_rw_224", {"stem_width": 32}) is None


# --- pooling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "densenet121", "vgg16"])
def test_pooling(name):
    torch.manual_seed(0)
    model = build(name, pooling="max")
    torch.manual_seed(0)
    other = build(name, pooling="avg")
    assert not torch.allclose(ask(model, 1, 3, 64, 64), ask(other, 1, 3, 64, 64))


def test_the_largest_of_each_feature():
    torch.manual_seed(0)
    model = build(pooling="max").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.encoder(images), model.encoder.forward_features(images).amax(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("mixer_s32_224", "max"), ("beit_base_patch16_224", "max"), ("deit_tiny_distilled_patch16_224", "avg")],
)
def test_a_pooling_the_network_does_not_have(name, pooling):
    with (
        torch.device("meta"),
        pytest.raises(ModelError, match=f"{name}.*avg|{name} cannot pool its features by {pooling}"),
    ):
        build(name, pooling=pooling)
    assert "work" in check_network(name, pooling=pooling)


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_fill_the_encoder(resnet_weights):
    model = build(weights="imagenet")
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = resnet_weights.forward_head(resnet_weights.forward_features(images), pre_logits=True)
        assert torch.equal(model.eval().encoder(images), expected)


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_weights_for_other_channels(resnet_weights, channels, copy):
    kernel = build(weights="imagenet", in_channels=channels, copy_weights=copy).encoder.conv1.weight
    theirs = resnet_weights.conv1.weight
    if channels == 1:
        torch.testing.assert_close(kernel, theirs.sum(1, keepdim=True))
        return
    kept = min(channels, 3)
    assert torch.equal(kernel[:, :kept], theirs[:, :kept])
    for extra in range(3, channels):
        assert torch.equal(kernel[:, extra], theirs[:, 2] if copy else torch.zeros_like(theirs[:, 2]))


@pytest.mark.parametrize("name", ["resnet18", "ResNeXt101", "vit_tiny_patch16_224"])
def test_no_network_is_one_clear_error(no_network, name, capfd):
    with pytest.raises(ModelError) as caught:
        build(name, weights="imagenet")
    message = str(caught.value)
    assert "huggingface.co cannot be reached" in message
    assert "Set weights: null to start from random ones" in message
    assert "Retrying" not in "".join(capfd.readouterr())


def test_nothing_is_fetched_when_trained_weights_follow(no_network):
    assert build(weights="imagenet", pretrained=False).mean == build().mean


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("resnet18", "imagenet11k", "no weights 'imagenet11k'; it has imagenet, a1_in1k, .*Set weights: null"),
        ("resnet50", "imagenet11k-places365ch", "no weights 'imagenet11k-places365ch'; it has imagenet, a1_in1k"),
        ("ResNet152V2", "imagenet", "resnetv2_152 has no weights 'imagenet'; nobody publishes any"),
        ("resnet18", "image_net", "resnet18 has no weights 'image_net'"),
    ],
)
def test_weights_there_are_none_of(name, given, message):
    with pytest.raises(ModelError, match=message):
        build(name, weights=given)
    assert check_network_weights(given, name) is not None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("resnet18", None), ("resnet18", "imagenet"), ("resnet18", "a2_in1k"), ("resnet18.tv_in1k", "imagenet")),
        *(("ResNet152V2", None), ("vit_tiny_patch16_224", "imagenet11k")),
    ],
)
def test_weights_there_are(name, given):
    assert check_network_weights(given, name) is None


@pytest.mark.parametrize("name", [name for name in networks() if name not in ("ResNet152V2", "NASNetMobile")])
def test_documented_networks_have_weights_for_any_use(name):
    from musket.models.encoders import licence_remark, timm_weights

    assert licence_remark(timm_weights(CLASSIFIERS.get(name).model, "imagenet")) is None


def test_weights_under_a_non_commercial_licence_are_announced(no_network):
    with pytest.warns(UserWarning, match="cc-by-nc-4.0: not for commercial use"), pytest.raises(ModelError):
        build("resnext50", weights="fb_ssl_yfcc100m_ft_in1k")


# --- freezing ---------------------------------------------------------------------------------------------------------


def test_training_mode_does_not_wake_frozen_normalisations():
    model = build("mobilenetv2")
    freeze_encoder(model)
    model.eval()
    model.train()
    norms = [module for module in model.encoder.modules() if getattr(module, "running_mean", None) is not None]
    assert norms
    assert not any(norm.training for norm in norms)
    assert model.dropout.training
    unfreeze_encoder(model)
    assert all(norm.training for norm in norms)


# --- names ------------------------------------------------------------------------------------------------------------


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(RegistryError, match=r"no such network 'resnet19'; nearest: ResNet18, .*musket ls networks"):
        build("resnet19")
    assert "no such network 'Resent50'; nearest: ResNet50" in check_network("Resent50")
    assert "Invalid pretrained tag (nonsense)" in check_network("resnet18.nonsense")


def test_any_name_of_timm():
    for name in ("convnext_atto", "tu-convnext_atto", "ConvNeXt_Atto", "resnet18.a1_in1k"):
        assert name in CLASSIFIERS
        assert check_network(name) is None
    assert "no_such_network" not in CLASSIFIERS


def test_names_are_checked_without_torch():
    code = (
        "import sys; from musket.models.catalogue import *\n"
        "assert check_network('DenseNet201', {}, 'avg') is None\n"
        "assert check_network_weights('imagenet', 'densenet201') is None\n"
        "assert CLASSIFIERS.get('resnet34').name == 'ResNet34' and 'vgg16' in CLASSIFIERS and networks()\n"
        "assert not {'torch', 'timm', 'segmentation_models_pytorch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- networks of the user's own ---------------------------------------------------------------------------------------


class Tiny(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.backbone = nn.Conv2d(channels, 4, 3)
        self.heads = nn.ModuleList(nn.Linear(4, count) for count in heads)

    def forward(self, images):
        features = self.backbone(images).mean((2, 3))
        return [head(features) for head in self.heads]


@pytest.fixture
def own():
    """Registers a network of the user's own; takes it away afterwards."""
    names = []

    def register(function):
        classifier_models[function.__name__] = function
        names.append(function.__name__)
        return function.__name__

    yield register
    for name in names:
        del classifier_models[name]


def test_an_own_network_receives_what_it_names(own):
    seen = {}

    def everything(
        shape, input_shape, in_channels, classes, activation, weights, pooling, dropout, copy_weights, depth=3
    ):
        seen.update(locals())
        del seen["seen"]
        return Tiny(in_channels, [classes])

    model = build_classifier(
        own(everything),
        weights="mine",
        in_channels=4,
        classes=[2],
        pooling="avg",
        dropout=0.1,
        options={"depth": 5},
        copy_weights=True,
        shape=(32, 32, 4),
        activation="softmax",
    )
    assert seen == {
        "shape": (32, 32, 4),
        "input_shape": (32, 32, 4),
        "in_channels": 4,
        "classes": 2,
        "activation": "softmax",
        "weights": "mine",
        "pooling": "avg",
        "dropout": 0.1,
        "copy_weights": True,
        "depth": 5,
    }
    assert ask(model, 1, 4, 32, 32).shape == (1, 2)
    assert (model.mean, model.std) == ((0.0,) * 4, (1.0,) * 4)


def test_an_own_network_may_return_a_list_of_heads(own):
    def two_heads(in_channels, classes):
        return Tiny(in_channels, classes)

    model = build(own(two_heads), classes=(2, 3))
    logits = ask(model, 2, 3, 16, 16)
    with torch.inference_mode():
        first = model.network.heads[0](model.network.backbone(torch.zeros(2, 3, 16, 16)).mean((2, 3)))
    assert logits.shape == (2, 5)
    assert first.shape == (2, 2)


def test_logits_of_another_shape_are_refused(own):
    def wrong(in_channels):
        return Tiny(in_channels, [4, 1])

    def maps(in_channels):
        return nn.Conv2d(in_channels, 3, 1)

    with pytest.raises(ModelError, match=r"wrong returned \(2, 4\), \(2, 1\) for .*must return logits \(2, 5\)"):
        ask(build(own(wrong), classes=(2, 3)), 2, 3, 16, 16)
    with pytest.raises(ModelError, match=r"maps returned \(2, 3, 8, 8\) .* logits \(2, 3\): batch x classes$"):
        ask(build(own(maps)), 2, 3, 8, 8)


def test_an_own_network_that_is_none(own):
    def nothing(**parameters):
        assert parameters.keys() >= {"classes", "shape", "weights"}

    with pytest.raises(ModelError, match="nothing must return a torch module giving logits; it returned NoneType"):
        build(own(nothing))


def test_options_of_an_own_network(own):
    def with_depth(classes, depth: int = 2):
        return Tiny(3, [classes])

    name = own(with_depth)
    assert check_network(name) is None
    with pytest.raises(ModelError, match="dept: with_depth takes no such option; nearest: depth"):
        build(name, options={"dept": 3})
    with pytest.raises(ModelError, match="depth: found 'x'; must be a whole number"):
        build(name, options={"depth": "x"})


def test_freezing_an_own_network(own):
    def with_backbone(classes):
        return Tiny(3, [classes])

    def without(classes):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))

    model = build(own(with_backbone))
    freeze_encoder(model)
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, True]
    with pytest.raises(ModelError, match="without has no part named encoder or backbone"):
        freeze_encoder(build(own(without)))


# --- NASNetMobile -----------------------------------------------------------------------------------------------------


def test_nasnet_mobile_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorchcv", None)
    monkeypatch.setitem(sys.modules, "pytorchcv.models.nasnet", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install musket[nasnet]" in check_network("nasnetmobile")
    with pytest.raises(ModelError, match=r"NASNetMobile comes from pytorchcv, .*pip install musket\[nasnet\]"):
        build("NASNetMobile")


def test_nasnet_mobile_weights():
    assert check_network_weights("imagenet", "NASNetMobile") is None
    assert check_network_weights("imagenet11k", "NASNetMobile") == (
        "NASNetMobile has no weights 'imagenet11k'; it has imagenet. Set weights: null for random weights"
    )


def test_nasnet_mobile(no_network):
    pytest.importorskip("pytorchcv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = build("NASNetMobile", classes=(3, 1), in_channels=4, pooling="max")
    assert 4_200_000 < sum(parameter.numel() for parameter in model.encoder.parameters()) < 4_300_000
    assert ask(model, 1, 4, 65, 81).shape == (1, 4)
    with pytest.raises(ModelError, match=r"github.com cannot be reached.*weights: null"):
        build("NASNetMobile", weights="imagenet")


def test_weights_of_nasnet_mobile(monkeypatch, tmp_path):
    pytest.importorskip("pytorchcv")
    from pytorchcv.models.common import model_store
    from pytorchcv.models.nasnet import nasnet_4a1056

    torch.manual_seed(1)
    published = nasnet_4a1056()
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    monkeypatch.setattr(weights, "reachable", lambda address: True)
    monkeypatch.setattr(model_store, "get_model_file", lambda *args, **kwargs: str(tmp_path / "weights.pth"))
    kernel = build("NASNetMobile", weights="imagenet", in_channels=4).encoder.features.init_block.conv.weight
    assert torch.equal(kernel[:, :3], published.features.init_block.conv.weight)
    assert not kernel[:, 3].any()

    def broken(*args, **kwargs):
        raise RuntimeError("Failed downloading url")

    monkeypatch.setattr(model_store, "get_model_file", broken)
    with pytest.raises(ModelError, match=r"nasnet_4a1056 could not be fetched \(Failed downloading url\)"):
        build("NASNetMobile", weights="imagenet")
