"""Bugs planted in copies of the core, to show that the schedules and the judge would notice them."""
