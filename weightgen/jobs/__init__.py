"""What each command does: one job a file, from a recipe to what is published."""
