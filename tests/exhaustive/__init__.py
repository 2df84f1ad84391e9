"""Every history of two replicas within a small scope, on the core itself."""
