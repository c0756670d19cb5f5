"""Race starts against each other under one budget."""
