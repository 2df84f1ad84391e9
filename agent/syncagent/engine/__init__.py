"""The conductor: takes hints, findings and messages in, asks the core, and has the ports do what was decided.

One thread runs all of it. The engine knows ports, never adapters.
"""

from syncagent.engine.agent import Agent
from syncagent.engine.context import VolumeOptions, Workers

__all__ = ["Agent", "VolumeOptions", "Workers"]
