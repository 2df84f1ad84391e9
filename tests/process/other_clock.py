"""Starts an agent with a clock that is wrong: ``python other_clock.py SECONDS PYTHON -m syncagent ...``."""

from __future__ import annotations

import runpy
import sys
import time

_ahead = float(sys.argv[1])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _ahead
time.time_ns = lambda: _time_ns() + int(_ahead * 1e9)

_, _, _, _, module, *arguments = sys.argv
sys.argv[1:] = arguments
runpy.run_module(module, run_name="__main__", alter_sys=True)
