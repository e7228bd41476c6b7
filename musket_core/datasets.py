"""Datasets under their former import path. Setting a knob here (``AUGMENTER_QUEUE_LIMIT = 3``) takes effect."""

from __future__ import annotations

from musket.data.former_names import *  # noqa: F403
from musket.data.former_names import __all__ as __all__
from musket.data.queue_settings import forward_knobs

forward_knobs(__name__)
