"""A library that cannot be used is refused in words, and PyTorch trains unless the native kernel was asked for."""

import shutil
import subprocess
import sys

import pytest

from fedau2 import native
from fedau2.v1.task_pb2 import TaskManifest
from simulator.engines.kernels import PYTORCH, choose
from simulator.errors import ConfigError

KNOWN, UNKNOWN = TaskManifest(model="fedncf"), TaskManifest(model="another")


@pytest.fixture
def folder(built, tmp_path):
    """A copy of the package's folder, to be spoilt."""
    return shutil.copytree(built / "fedau2_native", tmp_path / "fedau2_native")


@pytest.fixture
def refused(package, monkeypatch):
    """Asserts that a folder is refused with a message, and what becomes of each setting then."""

    def check(folder, message):
        with pytest.raises(package.NativeError, match=message):
            package.load(folder)
        monkeypatch.setattr(package, "load", lambda load=package.load: load(folder))
        with pytest.raises(ConfigError, match=message):
            choose("native", KNOWN)
        with pytest.warns(RuntimeWarning, match=message):
            assert choose("auto", KNOWN) is PYTORCH
        assert choose("torch", KNOWN) is PYTORCH

    return check


def compiled(source, path):
    subprocess.run(["c++", "-shared", "-fPIC", "-x", "c++", "-", "-o", path], input=source, text=True, check=True)


def test_a_package_without_a_library(refused, tmp_path):
    refused(tmp_path, "has no library: build it anew")


def test_a_library_of_another_system(refused, folder):
    for path in folder.glob("*.so"):
        path.write_bytes(b"\x7fELF of another processor")
    refused(folder, "cannot be loaded .*: build it anew")


def test_a_library_with_another_interface(refused, folder):
    for path in folder.glob("libfedau2-*.so"):
        compiled('extern "C" int fedau2_abi() { return 999; }', path)
    refused(folder, "has interface 999, and this package calls interface")


def test_a_library_of_something_else(refused, folder):
    for path in folder.glob("libfedau2-*.so"):
        compiled("int nothing;", path)
    refused(folder, "has interface None")


def test_a_library_for_better_processors_only(refused, folder):
    for path in folder.glob("libfedau2-*.so"):
        path.rename(folder / "libfedau2-v4.so")
    compiled('extern "C" int fedau2_level() { return 2; }', folder / "libprocessor.so")
    refused(folder, "no library for this processor")


def test_a_model_that_the_library_does_not_know(package):
    assert choose("auto", UNKNOWN) is PYTORCH
    with pytest.raises(ConfigError, match="does not know the model 'another'"):
        choose("native", UNKNOWN)


def test_the_package_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "fedau2_native", None)
    assert native.load() is None
    assert choose("auto", KNOWN) is PYTORCH
    with pytest.raises(ConfigError, match="not installed"):
        choose("native", KNOWN)


def test_arrays_of_another_type_are_refused(library):
    import numpy as np

    with pytest.raises(Exception, match="takes contiguous arrays of float32"):
        library.normals(1, bytes(16), 0, 0, 3, np.zeros(3))


def test_every_variant_that_this_processor_runs_agrees(package, building, built):
    """Each gives FedNCF's gradients up to rounding, see test_agreement for the rest."""
    from client_sdk.kernel.native.operations import NativeOperations
    from tests.native.test_agreement import agree, make_cohort, make_task

    level = int(package.library._opened(built / "fedau2_native/libprocessor.so").fedau2_level())
    task = make_task("fedncf")
    for variant in building.VARIANTS:
        if variant == "any" or int(variant[1:]) <= level:
            library = package.Library(built / "fedau2_native" / f"libfedau2-{variant}.so")
            agree(lambda model, library=library: NativeOperations(library, model), task, make_cohort(task, 5), True)


def test_a_package_of_another_release_is_refused_and_numpy_adds_up(package, monkeypatch):
    monkeypatch.setattr(package.library, "ABI", native.INTERFACE - 1)
    with pytest.raises(native.Error, match=r"has interface 2, .* calls interface 3: install that of the same release"):
        native.load()
    with pytest.raises(ConfigError, match="of the same release"):
        choose("native", KNOWN)
    with pytest.warns(RuntimeWarning, match="PyTorch trains instead .*of the same release"):
        assert choose("auto", KNOWN) is PYTORCH
    with pytest.warns(RuntimeWarning, match=r"NumPy computes exact sums .*of the same release"):
        assert native.arithmetic() is None
    assert native.arithmetic() is None  # without another warning


def test_secure_sums_are_added_by_the_library_where_it_is_installed(package):
    assert native.arithmetic().variant == package.load().variant
    assert native.INTERFACE == package.library.ABI
