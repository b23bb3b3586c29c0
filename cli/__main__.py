"""``python -m cli`` is ``fixlify``, for processes that start processes."""

from __future__ import annotations

from cli.main import main

main()
