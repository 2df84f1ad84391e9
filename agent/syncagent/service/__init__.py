"""The composition root: builds adapters, engine and API, and ends them in order. The only place that knows them all."""

from syncagent.service.run import run

__all__ = ["run"]
