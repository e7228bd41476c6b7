"""Everything that can be known before training: the data, a trial step, and what a fit would stumble over."""
