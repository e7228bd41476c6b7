"""Functions of users that are run on trained experiments."""
