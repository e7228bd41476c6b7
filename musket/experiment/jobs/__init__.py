"""Experiments as jobs: which there are, what follows from them, and the worker that does them."""
