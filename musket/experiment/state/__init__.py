"""Where experiments stand: what they were trained with, and what has changed since."""
