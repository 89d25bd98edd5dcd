"""The files of `deploy/`, read."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read(name):
    return (DEPLOY / name).read_text("utf-8")


def parsed(name):
    """A YAML file with one document."""
    return yaml.safe_load(read(name))


def documents(name):
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(read(name)))
