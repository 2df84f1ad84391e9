"""The agent's HTTP API: what people's tools and scripts may ask of a running agent, and tell it.

Served by the standard library's request parser, one thread a connection, one request a connection, both bounded.
Why: resident memory of the agent's imports (Python 3.11, x86-64, three runs each) is 30.4 MB without any HTTP server,
and 30.7 MB with h11, 32.0 MB with ``http.server``, 43.6 MB with aiohttp. The standard library costs 1.6 MB and no
dependency; prometheus-client adds 1.9 MB, and only once ``/metrics`` has been asked for.
"""

from __future__ import annotations

from syncagent.http.server import HttpServer
from syncagent.http.sockets import ListenError

__all__ = ["HttpServer", "ListenError"]
