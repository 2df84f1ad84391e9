"""``python -m syncagent.cli`` is ``syncctl``."""

from __future__ import annotations

from syncagent.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
