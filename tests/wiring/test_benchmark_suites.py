"""Every suite of the benchmark is one, and is known by its name."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

import pytest

import benchmarks.suites
from benchmarks import catalog

IN_SUITES = [module.name for module in iter_modules(benchmarks.suites.__path__)]


@pytest.mark.parametrize("name", catalog.SUITES)
def test_a_suite_has_its_name_a_measurement_and_a_section(name: str) -> None:
    suite = catalog.load(name)
    assert name == suite.NAME
    assert inspect.iscoroutinefunction(suite.measure)
    assert list(inspect.signature(suite.measure).parameters) == ["scale", "tell"]
    assert list(inspect.signature(suite.section).parameters) == ["figures"]


@pytest.mark.parametrize("module", IN_SUITES)
def test_a_suite_that_stands_with_the_others_is_measured_with_them(module: str) -> None:
    name = import_module(f"benchmarks.suites.{module}").NAME
    assert catalog.SUITES[name] == f"benchmarks.suites.{module}"
