"""The Compose file, the image and their scripts agree with the product and with each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cli.main import cli
from devstack.temporal_server import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES, find_binary
from fixlify.settings import SECRETS, variables
from worker.workers import GRACEFUL_SHUTDOWN

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ENGINE_IMAGE = "fixlify-automations"
# A tag that names one release: v1.31.4, 18.6-trixie, 1.32.0.
EXACT_TAG = re.compile(r"v?\d+\.\d+(\.\d+)?(-[a-z]+)*")
INTERPOLATED = re.compile(r"\$\{(?P<name>\w+)(?P<rest>:[-?][^}]*)?\}")
SECRET_NAME = re.compile(r"PASSWORD|PWD|SECRET|TOKEN|API_KEY|URL")
# The only services without a check of their own, and why.
UNCHECKED = {
    "worker": "listens on nothing; Temporal knows who polls, and `fixlify doctor` asks it",
}

Compose = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> Compose:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def services(compose: Compose) -> dict[str, Compose]:
    loaded = compose["services"]
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def engine(services: dict[str, Compose]) -> dict[str, Compose]:
    """The services that run our own image."""
    ours = {name: it for name, it in services.items() if "build" in it}
    assert set(ours) == {"migrate", "worker", "starter"}
    return ours


def test_it_follows_the_compose_specification() -> None:
    """Checked against the schema of compose-spec, which the package carries."""
    command = [
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_image_names_one_release(services: dict[str, Compose]) -> None:
    for name, service in services.items():
        _, _, tag = service["image"].partition(":")
        assert EXACT_TAG.fullmatch(tag), f"{name} runs {service['image']}"


def test_our_image_carries_the_version_of_the_product(engine: dict[str, Compose]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"] for service in engine.values()} == {f"{ENGINE_IMAGE}:{version}"}


def test_temporal_is_the_release_that_the_tests_run(services: dict[str, Compose]) -> None:
    printed = subprocess.run(
        [find_binary(), "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Server (?P<server>[\d.]+), UI (?P<ui>[\d.]+)", printed)
    assert found, printed
    assert services["temporal"]["image"] == f"temporalio/server:{found['server']}"
    assert services["temporal-schema"]["image"] == f"temporalio/admin-tools:{found['server']}"
    assert services["temporal-namespace"]["image"] == f"temporalio/admin-tools:{found['server']}"
    assert services["temporal-ui"]["image"] == f"temporalio/ui:{found['ui']}"


def test_every_service_says_whether_it_comes_back(services: dict[str, Compose]) -> None:
    for name, service in services.items():
        assert service.get("restart") in {"no", "unless-stopped"}, name


def test_every_service_that_stays_up_has_a_health_check(services: dict[str, Compose]) -> None:
    unchecked = {
        name
        for name, service in services.items()
        if service["restart"] != "no" and "healthcheck" not in service
    }
    assert unchecked == set(UNCHECKED)


def test_a_service_waits_for_a_state_not_for_a_start(services: dict[str, Compose]) -> None:
    """One that stays up must be healthy, one that runs once must have succeeded."""
    for name, service in services.items():
        for other, wait in service.get("depends_on", {}).items():
            runs_once = services[other]["restart"] == "no"
            wanted = "service_completed_successfully" if runs_once else "service_healthy"
            assert wait["condition"] == wanted, f"{name} waits for {other}"


def test_ports_are_published_on_the_loopback_interface_only(services: dict[str, Compose]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_nobody_may_gain_privileges(services: dict[str, Compose]) -> None:
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name


def test_every_command_is_one_that_the_program_has(engine: dict[str, Compose]) -> None:
    """Parsed by the command line itself, options and all."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    entrypoint = re.search(r'^ENTRYPOINT \["(\w+)"\]$', _dockerfile(), flags=re.MULTILINE)
    assert entrypoint
    assert entrypoint[1] in pyproject["project"]["scripts"]
    for service in engine.values():
        name, *options = service["command"]
        with click.Context(cli) as context:
            command = cli.get_command(context, name)
            assert command, f"fixlify has no command {name}"
            command.make_context(name, options, parent=context)


def test_a_stop_leaves_time_to_finish_a_send(services: dict[str, Compose]) -> None:
    """Docker kills after the grace period; the worker must have stopped by itself before."""
    grace = timedelta(seconds=int(services["worker"]["stop_grace_period"].removesuffix("s")))
    assert grace > GRACEFUL_SHUTDOWN


def test_workers_can_be_many(services: dict[str, Compose]) -> None:
    """A name or a port of its own would be taken by the first."""
    assert not {"container_name", "ports", "hostname"} & set(services["worker"])


def test_no_secret_is_written_down(services: dict[str, Compose]) -> None:
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET_NAME.search(variable):
                assert not _literal_secret(str(value)), f"{name} sets {variable}"


@pytest.mark.parametrize(
    "value",
    ["hunter2", "${TOKEN:-hunter2}", "postgresql://fixlify:hunter2@postgres:5432/fixlify"],
)
def test_a_written_secret_would_be_noticed(value: str) -> None:
    assert _literal_secret(value)


def test_every_variable_of_our_processes_is_a_setting(engine: dict[str, Compose]) -> None:
    """A misspelt name would be ignored without a word."""
    passed = {name for service in engine.values() for name in service["environment"]}
    assert passed <= set(variables())


def test_only_the_worker_gets_the_secrets_that_send(engine: dict[str, Compose]) -> None:
    for name in {"migrate", "starter"}:
        assert SECRETS & set(engine[name]["environment"]) == {"FIXLIFY_DATABASE_URL"}


def test_the_example_names_every_variable_that_is_read_and_no_other() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    read = {found["name"] for found in INTERPOLATED.finditer(text)}
    assert set(_example()) == read


def test_the_example_shows_no_default_that_is_not_true() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    defaults = {
        found["name"]: found["rest"][2:]
        for found in INTERPOLATED.finditer(text)
        if (found["rest"] or "").startswith(":-")
    }
    plain = {name: value for name, value in _example().items() if not SECRET_NAME.search(name)}
    shown = {name: value for name, value in plain.items() if value and name in defaults}
    # A sender is an example, not a default: the default sends nowhere but to the catcher.
    del shown["FIXLIFY_MAIL_FROM"]
    assert shown == {name: defaults[name] for name in shown}


def test_what_must_be_set_has_no_value_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    required = {
        found["name"]
        for found in INTERPOLATED.finditer(text)
        if (found["rest"] or "").startswith(":?")
    }
    assert required == {"POSTGRES_PASSWORD", "FIXLIFY_DB_PASSWORD", "TEMPORAL_DB_PASSWORD"}
    assert {_example()[name] for name in required} == {""}


def test_the_namespace_gets_the_search_attributes_of_the_embedded_server() -> None:
    script = (DEPLOY / "temporal/setup-namespace.sh").read_text()
    created = dict(re.findall(r"--name (\w+) --type (\w+)", script))
    assert created == dict(SEARCH_ATTRIBUTES)


def test_queues_behave_as_on_the_embedded_server() -> None:
    """Fairness and rate limits are what the tests prove; here they must be switched on too."""
    configured = yaml.safe_load((DEPLOY / "temporal/dynamicconfig.yaml").read_text())
    queues = {
        key: str(values[0]["value"]).lower()
        for key, values in configured.items()
        if key.startswith("matching.")
    }
    embedded = {key: it for key, it in DYNAMIC_CONFIG.items() if key.startswith("matching.")}
    assert queues == embedded
    assert "history.transferProcessorMaxPollRPS" in configured


def test_every_script_that_is_mounted_parses(services: dict[str, Compose]) -> None:
    scripts = sorted(DEPLOY.rglob("*.sh"))
    assert scripts
    for script in scripts:
        subprocess.run(["sh", "-n", script], check=True)
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert not source.startswith(".") or (ROOT / source).is_dir(), f"{name}: {mount}"


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = re.findall(r"^USER (\S+)", _dockerfile(), flags=re.MULTILINE)
    assert users == ["fixlify"]


def test_the_image_is_built_with_the_uv_of_the_repository() -> None:
    fetched = re.search(r"^UV_VERSION=(\S+)", (ROOT / "scripts/uv").read_text(), re.MULTILINE)
    assert fetched
    assert f"uv=={fetched[1]}\n" in _dockerfile()


def test_the_build_gets_every_package_of_the_wheel_and_nothing_secret() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    admitted = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert admitted == {*packages, "pyproject.toml", "uv.lock", "README.md", "LICENSE"}


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def _example() -> dict[str, str]:
    """Name to value of each line of .env.example, those that are commented out too."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {
        found["name"]: found["value"]
        for line in lines
        if (found := re.fullmatch(r"#?(?P<name>[A-Z_]+)=(?P<value>.*)", line))
    }


def _literal_secret(value: str) -> bool:
    """Whether *value* holds a secret itself, instead of taking it from the environment."""
    around = INTERPOLATED.sub(lambda found: _default(found["rest"] or ""), value)
    if "://" in around:
        # smtp://mail:1025 is no secret; user:password@host is.
        return bool(re.search(r"://[^:@/]*:[^@/]+@", around))
    return bool(around)


def _default(rest: str) -> str:
    return rest[2:] if rest.startswith(":-") else ""
