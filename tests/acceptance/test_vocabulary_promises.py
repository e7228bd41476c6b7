"""Every documented option of architectures, callbacks and augmenters is accepted by the config check.

That options have an effect is shown where the parts are tested: tests/models/test_architecture_options.py,
tests/training, tests/contracts/test_every_augmenter.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from musket.augment.catalogue import AUGMENTERS
from musket.config.check import check_text, unavailable
from musket.core.errors import ConfigError
from musket.experiment import build, reading
from musket.experiment.vocabulary import vocabulary

CONFIG = {
    "architecture": "Unet",
    "backbone": "resnet18",
    "encoder_weights": None,
    "classes": 2,
    "shape": [64, 64, 3],
    "loss": "binary_crossentropy",
    "activation": "sigmoid",
    "metrics": ["dice", "binary_accuracy"],
    "primary_metric": "val_dice",
    "stages": [{"epochs": 1}],
}

ARCHITECTURES: dict[str, dict[str, list[Any]]] = {
    "Unet": {
        "decoder_block_type": ["upsampling", "transpose"],
        "decoder_filters": [[64, 32, 16, 8, 8]],
        "n_upsample_blocks": [5, 3],
        "upsample_rates": [[2, 2, 2, 2, 2]],
        "use_batchnorm": [True, False],
        "skip_connections": ["default"],
    },
    "FPN": {
        "pyramid_block_filters": [256],
        "segmentation_block_filters": [128],
        "upsample_rates": [[2, 2, 2]],
        "last_upsample": [4],
        "interpolation": ["bilinear", "nearest"],
        "use_batchnorm": [True],
        "dropout": [0.2],
        "fpn_layers": ["default"],
    },
    "Linknet": {
        "decoder_filters": [[None, None, None, None, 16]],
        "use_batchnorm": [True],
        "n_upsample_blocks": [5],
        "upsample_layer": ["upsampling", "transpose"],
        "upsample_kernel_size": [[3, 3]],
        "skip_connections": ["default"],
    },
    "PSPNet": {
        "downsample_factor": [4, 8, 16],
        "psp_conv_filters": [512],
        "psp_pooling_type": ["avg", "max"],
        "use_batchnorm": [True],
        "dropout": [0.1],
        "final_interpolation": ["bilinear", "nearest"],
    },
}

CALLBACKS: dict[str, list[dict[str, Any]]] = {
    "EarlyStopping": [
        {"monitor": "val_loss", "patience": 3, "mode": "auto"},
        {"monitor": "val_dice", "mode": "max", "min_delta": 0.01, "verbose": 1, "baseline": 0.5},
        {"monitor": "val_dice", "restore_best_weights": False},
    ],
    "ReduceLROnPlateau": [
        {"monitor": "val_loss", "factor": 0.5, "patience": 4, "cooldown": 5, "mode": "auto"},
        {"monitor": "val_dice", "min_delta": 0.001, "min_lr": 1e-6, "verbose": 1, "mode": "max"},
    ],
    "CyclicLR": [
        {"base_lr": 0.001, "max_lr": 0.006, "step_size": 200, "mode": mode} for mode in ("triangular", "triangular2")
    ]
    + [{"base_lr": 0.001, "max_lr": 0.006, "step_size": 200, "mode": "exp_range", "gamma": 0.99}],
    "LRVariator": [{"fromVal": 0.001, "toVal": 0.01, "absSize": 100, "style": style} for style in ("linear", "sin+", 2)]
    + [{"toVal": 0.01, "relSize": 0.5, "periodEpochs": 2, "then": {"LRVariator": {"toVal": 0.001, "relSize": 0.5}}}],
    "CallbackModule": [{"absSize": 10, "then": {"CyclicLR": {"base_lr": 0.001}}}],
    "TensorBoard": [{"log_dir": "./logs", "histogram_freq": 0, "update_freq": "epoch"}],
    "TerminateOnNaN": [{}],
}

AUGMENTATIONS: list[dict[str, Any]] = [
    {"Fliplr": 0.5},
    {"Flipud": 0.5},
    {"Invert": 0.2},
    {"Rotate90": True},
    {"Affine": {"scale": [0.8, 1.5], "translate_percent": {"x": [-0.2, 0.2], "y": [-0.2, 0.2]}, "rotate": [-16, 16]}},
    {"Affine": {"scale": {"x": [0.8, 1.2], "y": 1.0}, "translate_px": {"x": [-5, 5], "y": 3}, "shear": [-16, 16]}},
    {"Affine": {"rotate": 10, "order": 0, "cval": 255, "mode": "edge"}},
    {"Add": [-10, 10]},
    {"Add": {"value": [-10, 10], "per_channel": 0.5}},
    {"AddElementwise": [-10, 10]},
    {"Multiply": {"mul": [0.8, 1.2], "per_channel": 0.2}},
    {"MultiplyElementwise": [0.8, 1.2]},
    {"AdditiveGaussianNoise": {"scale": [0, 12], "per_channel": 0.5}},
    {"Dropout": {"p": [0.01, 0.1], "per_channel": 0.5}},
    {"Grayscale": {"alpha": [0.0, 1.0]}},
    {"GaussianBlur": {"sigma": [0, 1.5]}},
    {"AverageBlur": {"k": [2, 5]}},
    {"MedianBlur": {"k": [3, 5]}},
    {"Sharpen": {"alpha": [0, 1.0], "lightness": [0.75, 1.5]}},
    {"Emboss": {"alpha": [0, 1.0], "strength": [0, 1.5]}},
    {"EdgeDetect": {"alpha": [0, 0.7]}},
    {"DirectedEdgeDetect": {"alpha": [0, 0.7], "direction": [0.0, 1.0]}},
    {"PiecewiseAffine": {"scale": [0.01, 0.05]}},
    {"ElasticTransformation": {"alpha": [0.5, 3.5], "sigma": 0.25}},
    {"CropAndPad": {"percent": [-0.05, 0.1]}},
    {"Pad": {"px": [4, 8]}},
    {"Pad": {"px": [1, 2, 3, 4]}},
    {"PadToFixedSize": {"width": 80, "height": 80}},
    {"CropToFixedSize": {"width": 48, "height": 48}},
    {"Sequential": {"Fliplr": 0.5, "Flipud": 0.5}},
    {"OneOf": {"Fliplr": 0.5, "GaussianBlur": [0, 1]}},
]
FUTURE = """
    AddToHueAndSaturation BilateralBlur ChangeColorspace CoarseDropout CoarsePepper CoarseSalt CoarseSaltAndPepper
    ContrastNormalization Convolve Crop FrequencyNoiseAlpha GammaContrast InColorspace LinearContrast LogContrast Noop
    Pepper PerspectiveTransform ReplaceElementwise Salt SaltAndPepper Scale SigmoidContrast SimplexNoiseAlpha SomeOf
    Sometimes Superpixels WithChannels WithColorspace AlphaElementwise
""".split()  # noqa: SIM905 - a table of names


def checked(**changes: Any) -> Any:
    found = check_text("#%Musket Segmentation 1\n" + yaml.safe_dump({**CONFIG, **changes}), vocabulary=vocabulary())
    assert unavailable(found) == []
    return found


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [(name, key, value) for name, keys in ARCHITECTURES.items() for key, values in keys.items() for value in values],
)
def test_s49_options_of_architectures(name: str, option: str, value: Any) -> None:
    assert option in checked(architecture=name, **{option: value}).architecture_options


@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, forms in CALLBACKS.items() for options in forms]
)
def test_s49_options_of_callbacks(name: str, options: dict[str, Any]) -> None:
    spec = checked(callbacks={name: options})
    [made] = build.build_callbacks(spec, spec.stages[0])
    assert made is not None


@pytest.mark.parametrize("part", AUGMENTATIONS, ids=[next(iter(part)) for part in AUGMENTATIONS])
def test_s49_options_of_augmenters(part: dict[str, Any]) -> None:
    chain = reading.chain_for(checked(augmentation=part), is_train=True)
    assert len(chain.operations) == 1


def test_s49_names_of_the_former_framework_are_all_known() -> None:
    assert [name for name in FUTURE if name not in AUGMENTERS] == []


@pytest.mark.parametrize("name", ["Affine", "GaussianBlur", "Dropout"])
def test_s49_an_unknown_option_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"augmentation\.{name}\.strenght  {name} takes no such option"):
        checked(augmentation={name: {"strenght": 1}})
