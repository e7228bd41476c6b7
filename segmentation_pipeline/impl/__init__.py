"""Datasets and run-length codec under their former import paths."""
