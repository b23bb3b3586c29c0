"""Where settings come from: the environment first, then the stack that runs here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.environment import adopt_running_stack, settings_of_this_process, web_ui_link
from cli.environment import home as home_of_the_stack
from devstack.locks import FileLock
from devstack.running import LOCK_FILE, STACK_FILE
from fixlify.domain.errors import ConfigurationError
from fixlify.settings import load_settings, variables

STACK = {
    "FIXLIFY_DATABASE_URL": "postgresql://postgres:sesame@127.0.0.1:5433/fixlify",
    "TEMPORAL_ADDRESS": "127.0.0.1:7299",
    "TEMPORAL_NAMESPACE": "default",
    "ui_url": "http://127.0.0.1:8299",
    "pid": 1,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a stack, and an environment that names nothing but it."""
    for name in variables():
        # What the code adds to the environment is taken out again only if pytest knows of it.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FIXLIFY_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def running_stack(home: Path) -> Iterator[None]:
    """Be the process that runs a stack in *home*."""
    (home / STACK_FILE).write_text(json.dumps(STACK))
    lock = FileLock(home / LOCK_FILE)
    assert lock.try_acquire()
    try:
        yield
    finally:
        lock.release()


def test_the_running_stack_provides_what_is_not_set(home: Path) -> None:
    with running_stack(home):
        settings = settings_of_this_process()
    assert settings.database_url.get_secret_value() == STACK["FIXLIFY_DATABASE_URL"]
    assert settings.temporal_address == "127.0.0.1:7299"
    # Temporal's own configuration reads the environment itself.
    assert os.environ["TEMPORAL_ADDRESS"] == "127.0.0.1:7299"


def test_what_the_user_set_is_never_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    with running_stack(home):
        assert adopt_running_stack() == {"FIXLIFY_DATABASE_URL", "TEMPORAL_NAMESPACE"}
    assert load_settings().temporal_address == "temporal.example:7233"


def test_whoever_names_a_database_means_another_stack(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", "postgresql://elsewhere/fixlify")
    with running_stack(home):
        assert adopt_running_stack() == frozenset()
        assert settings_of_this_process().temporal_address == "127.0.0.1:7233"


def test_a_stack_that_was_killed_is_not_there(home: Path) -> None:
    with running_stack(home):
        pass
    assert (home / STACK_FILE).exists()
    with pytest.raises(ConfigurationError, match=f"nothing runs in {home}"):
        settings_of_this_process()


def test_a_run_of_the_running_stack_has_a_page_in_its_web_ui(home: Path) -> None:
    with running_stack(home):
        settings = settings_of_this_process()
        assert web_ui_link(settings, "automation/0199", "42") == (
            "http://127.0.0.1:8299/namespaces/default/workflows/automation%2F0199/42"
        )
        assert web_ui_link(settings, "automation/0199", None) == (
            "http://127.0.0.1:8299/namespaces/default/workflows/automation%2F0199"
        )


def test_another_temporal_has_no_page_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    with running_stack(home):
        assert web_ui_link(settings_of_this_process(), "automation/0199", "42") is None


def test_without_a_stack_there_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", "postgresql://elsewhere/fixlify")
    assert web_ui_link(settings_of_this_process(), "automation/0199", "42") is None


def test_an_empty_home_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXLIFY_HOME", "")
    assert home_of_the_stack() == Path.cwd() / ".fixlify"
