"""A fuzzer of our own: files, recipes and words of every command are changed at random, and its contract is held to."""
