"""Import paths of the former framework; everything here comes from ``musket``."""
