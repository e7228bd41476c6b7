"""Import paths of the former segmentation package; everything here comes from ``musket``."""
