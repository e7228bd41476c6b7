"""Projects on disk: their modules and experiments, new ones, what is left over."""
