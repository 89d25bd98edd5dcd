import subprocess
import sys
from importlib.metadata import version

import pytest

import client_sdk
from client_sdk import errors
from client_sdk.errors import (
    FedError,
    MissingEngineError,
)


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_opening_and_recording_load_no_heavy_library_and_no_network(tmp_path):
    code = """
import sys
from client_sdk import FedClient, Outcome, Recommendation, Result
with FedClient.open(sys.argv[1], "fed.invalid:443", "films") as client:
    client.record("film-1")
    client.set_attribute("gender", "F")
print([name for name in ("torch", "pandas", "onnxruntime", "grpc", "cryptography") if name in sys.modules])
"""
    result = python(code, str(tmp_path / "state"))
    assert result.stdout == "[]\n", result.stderr


def test_the_engine_torch_without_pytorch_says_what_to_install_and_recommend_works(synced, tmp_path, address, remote):
    synced.close()
    calls = len(remote.calls)
    code = """
import sys
sys.modules["torch"] = None
from client_sdk import FedClient, MissingEngineError
with FedClient.open(sys.argv[1], sys.argv[2], "films", engine="torch") as client:
    try:
        client.sync()
    except MissingEngineError as error:
        print(error)
    print(len(client.recommend(5)))
"""
    result = python(code, str(tmp_path / "state"), address)
    said, found = result.stdout.splitlines()
    assert "pip install 'fedau2[torch]'" in said, result.stderr
    assert found == "5"
    assert len(remote.calls) == calls
    assert issubclass(MissingEngineError, FedError)


def test_the_package_has_its_version():
    assert client_sdk.__version__ == version("fedau2")


def test_the_package_exports_what_it_lists():
    for name in client_sdk.__all__:
        assert getattr(client_sdk, name).__name__ == name
    assert set(client_sdk.__all__) <= set(dir(client_sdk))
    listed = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, FedError)}
    assert listed <= set(client_sdk.__all__)
    with pytest.raises(AttributeError, match="unheard_of"):
        client_sdk.unheard_of  # noqa: B018
