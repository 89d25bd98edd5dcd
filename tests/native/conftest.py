"""The native kernel as it is installed; otherwise it is built from source for these tests alone."""

import importlib
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fedau2.native import arithmetic

SOURCE = Path(__file__).parents[2] / "native"


@pytest.fixture(scope="session")
def building():
    """The module that compiles the library; skips where there is no compiler."""
    if not shutil.which(os.environ.get("CXX", "c++").split()[0]):
        pytest.skip("there is no C++ compiler")
    sys.path.insert(0, str(SOURCE))
    try:
        return importlib.import_module("building")
    finally:
        sys.path.remove(str(SOURCE))


@pytest.fixture(scope="session")
def built(building, tmp_path_factory):
    """A folder with the package and all its variants, compiled without a warning."""
    folder = tmp_path_factory.mktemp("native")
    package = shutil.copytree(SOURCE / "fedau2_native", folder / "fedau2_native")
    building.build(package, options=["-Werror"])
    return folder


@pytest.fixture
def package(request, monkeypatch):
    """The package `fedau2_native`, which later tests do not see unless it is installed."""
    if find_spec("fedau2_native") is None:
        monkeypatch.syspath_prepend(str(request.getfixturevalue("built")))
    arithmetic.cache_clear()
    yield importlib.import_module("fedau2_native")
    for name in [*sys.modules]:
        if name.startswith(("fedau2_native", "client_sdk.kernel.native")):
            del sys.modules[name]
    arithmetic.cache_clear()


@pytest.fixture(params=["v4", "v3", "v2", "any"])
def variant(request, package):
    """A variant of the library; skips those that this processor cannot run."""
    folder = Path(package.__file__).parent
    level = int(package.library._opened(folder / "libprocessor.so").fedau2_level())
    path = folder / f"libfedau2-{request.param}.so"
    if not path.exists() or (request.param != "any" and int(request.param[1:]) > level):
        pytest.skip("not a variant for this processor")
    return package.Library(path)


@pytest.fixture
def library(package):
    return package.load()


@pytest.fixture
def operations(library):
    """Makes the native operations of a model."""
    from client_sdk.kernel.native.operations import NativeOperations

    return lambda model: NativeOperations(library, model)
