"""Files that others wrote, read strictly: regular ones only, no further than a limit, with errors that name them."""
