"""Every public name of the SDK has a docstring of its own, from which `make docs` makes the reference."""

import inspect
from importlib import import_module

import pytest

import client_sdk
from scripts import api_reference

MODULES = tuple(name for name in api_reference.MODULES if name != "client_sdk")
PUBLIC = [getattr(client_sdk, name) for name in client_sdk.__all__] + [
    each
    for module in map(import_module, MODULES)
    for name, each in vars(module).items()
    if inspect.isclass(each) and each.__module__ == module.__name__ and not name.startswith("_")
]


@pytest.mark.parametrize("public", dict.fromkeys(PUBLIC), ids=lambda each: each.__qualname__)
def test_a_public_name_says_what_it_is(public):
    assert vars(public).get("__doc__")
    for name, member in vars(public).items():
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, classmethod | property)):
            assert member.__doc__, f"{public.__qualname__}.{name}"
