"""Meta-learned starting points for implicit neural representations: fields, signals, learning, fitting."""
