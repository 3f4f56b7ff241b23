"""What is asked beyond the paper's tables: the numbers of one question a module."""
