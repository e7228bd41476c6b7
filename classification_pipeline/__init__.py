"""Import paths of the former classification package; everything here comes from ``musket``."""
