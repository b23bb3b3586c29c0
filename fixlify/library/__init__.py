"""Automations that come with the package, and how automations are read from YAML."""

from fixlify.library.reading import AUTOMATION, Wanted, read_yaml, read_yaml_file
from fixlify.library.shipped import shipped_automations

__all__ = ["AUTOMATION", "Wanted", "read_yaml", "read_yaml_file", "shipped_automations"]
