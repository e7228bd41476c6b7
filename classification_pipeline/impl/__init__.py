"""Datasets under their former import paths."""
