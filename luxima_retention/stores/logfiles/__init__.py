"""Log files in directories: when they rotate, how, and what becomes of them."""
