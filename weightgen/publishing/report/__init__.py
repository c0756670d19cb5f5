"""What reports share: axes, colours, and how numbers are written."""
