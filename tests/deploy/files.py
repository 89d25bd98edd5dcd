"""The files of `deploy/`, read."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read(name):
    return (DEPLOY / name).read_text("utf-8")


def parsed(name):
    """A YAML file with one document."""
    return yaml.safe_load(read(name))


def overlay(name):
    """A Compose file that is laid over another one, without the tags that say how lists are merged."""
    return yaml.safe_load(re.sub(r" !(reset|override)\b", "", read(name)))


def documents(name):
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(read(name)))
