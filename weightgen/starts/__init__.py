"""What a training can start from."""
