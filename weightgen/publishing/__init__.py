"""Everything that is written for others to trust: checkpoints, manifests, files, cards, reports."""
