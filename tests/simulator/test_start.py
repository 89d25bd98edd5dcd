"""How programs start: what they load, and where they start at all."""

import os
import subprocess
import sys

import pytest

from scripts.help_times import WALK

HEAVY = ("matplotlib", "torch", "scipy", "sklearn", "joblib", "pandas")
WORK = (*HEAVY, "sqlalchemy", "cryptography", "jwt", "onnxruntime", "prometheus_client", "pyarrow")
"""What no help may load: a command's own work needs it, and it takes longer than all the rest of the help."""
LOADED = """
import sys
sys.argv = ["fedau2-sim", *{words}]
from simulator.__main__ import main
try:
    main()
finally:
    print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
HELPED = (
    "print(*path, 'helped' if printed.getvalue().startswith('usage: ') else 'lost', "
    "*[name for name in {heavy} if name in sys.modules])"
)


def ended(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["datasets"],
        ["datasets", "list", "--json"],
        ["run", "--help"],
        ["run", "--rounds", "0.5"],
        ["audit", "--nonsense"],
        ["nonsense"],
    ],
)
def test_a_command_that_trains_nothing_loads_nothing_for_it(words):
    done = ended(LOADED.format(words=words, heavy=HEAVY))
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("module", "commands", "more"),
    [
        ("simulator.__main__", 12, ("numpy", "grpc", "jinja2", "rich")),
        ("coordinator.__main__", 12, ()),
        ("export.__main__", 7, ("numpy", "grpc", "pydantic", "yaml", "google.protobuf")),
        ("unmasker.__main__", 8, ("numpy", "grpc", "google.protobuf", "asyncio")),
        ("examples.edge_app.app", 1, ()),
    ],
)
def test_the_help_of_every_command_loads_nothing_that_its_work_needs(module, commands, more):
    done = ended(WALK.format(module=module, visit=HELPED.format(heavy=(*WORK, *more))))
    helped = done.stdout.splitlines()
    assert len(helped) >= commands, done.stderr
    assert [line for line in helped if not line.endswith("helped")] == []


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("simulator", ["run"]),
        ("coordinator", ["status"]),
        ("export", ["inspect", "bundle"]),
        ("unmasker", ["status", "--state", "x"]),
    ],
)
def test_a_base_install_can_always_say_what_is_missing(module, words):
    code = f"""
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        ours = ("fedau2", "client_sdk", "coordinator", "export", "simulator", "unmasker")
        if name.partition(".")[0] not in (*sys.stdlib_module_names, *ours):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Nothing())
sys.argv = ["it", *{words}]
from {module}.__main__ import main
sys.exit(main())
"""
    done = ended(code)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.endswith(f"is not installed: it needs pip install 'fedau2[{module}]'\n")


@pytest.mark.parametrize("module", ["simulator", "coordinator", "export"])
def test_a_python_without_what_only_unix_has_blames_no_extra(module):
    code = f"""
import os, signal, sys
sys.modules |= dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios"))
del os.sysconf, os.fork, os.getuid, os.statvfs, signal.pthread_sigmask, signal.SIGKILL
sys.argv = ["it", "--help"]
from {module}.__main__ import main
sys.exit(main())
"""
    done = ended(code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["simulator", "coordinator", "export"])
def test_a_command_knows_its_version(module):
    from fedau2 import __version__

    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1:] == [__version__]
