"""Seeded schedules of several replicas, a judge, and directed scripts, run on the core itself."""
