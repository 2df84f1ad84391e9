"""Several whole engines in one process, on virtual time: seeded users and faults, and a judge."""
