"""File-system calls that never leave a volume: what the scanner and the tree share."""
