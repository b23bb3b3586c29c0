"""What never gets into a log line."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fixlify.logs import configure_logging


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values(
    log_format: str, root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """The SDK logs the traceback of every failed activity; its variables hold people."""
    configure_logging("info", log_format)

    def fail() -> None:
        password = "hunter2"
        raise ValueError(f"a secret of {len(password)} characters")

    try:
        fail()
    except ValueError:
        root_logger.warning("An activity failed.", exc_info=True)

    output = capsys.readouterr().err
    assert "a secret of 7 characters" in output
    assert output.count("hunter2") <= output.count('password = "hunter2"')
