"""Real agents, killed at the N-th system call of each kind, started again, and compared."""
