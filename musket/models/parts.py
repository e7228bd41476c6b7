"""Parts put into networks of segmentation_models_pytorch, for options it does not have."""

from __future__ import annotations

from typing import Any

import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.base.modules import Conv2dReLU
from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder, TransposeX2
from torch import nn
from torch.nn import functional


class TransposedBlock(nn.Module):
    """Decoder block of a U-Net that learns how to double the resolution: transposed convolution, skip, convolution."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, use_norm: Any):
        super().__init__()
        self.up = TransposeX2(in_channels, out_channels, use_norm)
        self.conv = Conv2dReLU(out_channels + skip_channels, out_channels, 3, padding=1, use_norm=use_norm)

    def forward(
        self,
        feature_map: torch.Tensor,
        target_height: int,
        target_width: int,
        skip_connection: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """N x in x H x W to N x out x 2H x 2W; the target size is just that, inputs being whole strides."""
        up = self.up(feature_map)
        return self.conv(up if skip_connection is None else torch.cat([up, skip_connection], dim=1))


def use_transposed_blocks(network: Any, use_norm: Any) -> None:
    """Let the decoder of a U-Net double the resolution by transposed convolutions; widths stay as they are."""
    blocks = []
    width = network.encoder.out_channels[-1]
    for block in network.decoder.blocks:
        out_channels = block.conv2[0].out_channels
        blocks.append(TransposedBlock(width, block.conv1[0].in_channels - width, out_channels, use_norm))
        width = out_channels
    network.decoder.blocks = nn.ModuleList(blocks)
    initialize_decoder(network.decoder.blocks)


class UpsampledConvolution(nn.Sequential):
    """Doubles the resolution by repeating pixels, then mixes them: N x C x H x W to N x C x 2H x 2W."""

    def __init__(self, channels: int, kernel_size: tuple[int, int], use_norm: Any):
        padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        convolution = Conv2dReLU(channels, channels, kernel_size, padding, use_norm=use_norm)  # type: ignore[arg-type]
        super().__init__(nn.Upsample(scale_factor=2.0), convolution)


def use_linknet_decoder(
    network: Any, depth: int, width: int, classes: int, use_norm: Any, kernel_size: tuple[int, int] | None
) -> None:
    """Give LinkNet a decoder that ends in ``width`` channels.

    Args:
        kernel_size: odd, of the convolution after upsampling; None keeps smp's transposed convolutions.
    """
    decoder: Any = LinknetDecoder(
        network.encoder.out_channels, prefinal_channels=width, n_blocks=depth, use_norm=use_norm
    )
    if kernel_size is not None:
        for block in decoder.blocks:
            channels = block.block[1][0].out_channels
            block.block[1] = UpsampledConvolution(channels, kernel_size, use_norm)
    network.decoder = decoder
    network.segmentation_head = SegmentationHead(width, classes, kernel_size=1)
    initialize_decoder(network.decoder)
    initialize_head(network.segmentation_head)


class MaxPooledRegions(nn.Module):
    """Branch of a PSPNet that takes the maximum over each region; the layers are those of smp's branch."""

    def __init__(self, branch: Any):
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(branch.pool_size), branch.pool[1])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """N x in x H x W to N x out x H x W."""
        pooled = self.pool(features)
        return functional.interpolate(pooled, size=features.shape[2:], mode="bilinear", align_corners=True)


def use_max_pooling(decoder: Any) -> None:
    """Let the pyramid of a PSPNet sum up its regions by their maximum."""
    decoder.psp.blocks = nn.ModuleList([MaxPooledRegions(branch) for branch in decoder.psp.blocks])


def use_final_interpolation(network: Any, mode: str) -> None:
    """Choose how the head brings the finished map to the size of the input: bilinear (smp's own) or nearest."""
    upsample = network.segmentation_head[1]
    if mode == "nearest" and isinstance(upsample, nn.Upsample):
        network.segmentation_head[1] = nn.Upsample(scale_factor=upsample.scale_factor, mode="nearest")


def use_gradual_dilation(encoder: Any) -> None:
    """Dilate a ResNet as torchvision does: the first block of a stage still sees what the stage before it left.

    smp dilates whole stages. The networks trained on Pascal VOC (:data:`musket.models.weights.VOC_ENCODERS`) were
    trained with torchvision's pattern (``replace_stride_with_dilation`` in torchvision.models.resnet).
    """
    dilation = 1
    for stage in (encoder.layer3, encoder.layer4):
        first = stage[0].conv2
        stage_dilation = first.dilation[0]
        if stage_dilation > 1:
            first.dilation = first.padding = (dilation, dilation)
        dilation = stage_dilation
