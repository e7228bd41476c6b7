"""Names of augmenters."""

from __future__ import annotations

from musket.core.registry import Registry

AUGMENTERS = Registry("augmenter")
AUGMENTERS.add("Fliplr", "musket.augment.operations:Fliplr", "mirror left-right with probability p")
AUGMENTERS.add("Flipud", "musket.augment.operations:Flipud", "mirror upside down with probability p")
AUGMENTERS.add("Rotate90", "musket.augment.operations:Rotate90", "turn by a random one of 0, 90, 180, 270 degrees")
