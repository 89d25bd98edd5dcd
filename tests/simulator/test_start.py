"""How `fedau2-sim` starts: what it loads, and where it starts at all."""

import os
import subprocess
import sys

import pytest

HEAVY = ("matplotlib", "torch", "scipy", "sklearn", "joblib", "pandas")
LOADED = """
import sys
sys.argv = ["fedau2-sim", *{words}]
from simulator.__main__ import main
try:
    main()
finally:
    print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""


def ended(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["datasets"], ["datasets", "list", "--json"], ["run", "--help"], ["nonsense"]]
)
def test_a_command_that_trains_nothing_loads_nothing_for_it(words):
    done = ended(LOADED.format(words=words, heavy=HEAVY))
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["simulator", "coordinator", "export"])
def test_a_base_install_can_always_say_what_is_missing(module):
    code = f"""
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        ours = ("fedau2", "client_sdk", "coordinator", "export", "simulator")
        if name.partition(".")[0] not in (*sys.stdlib_module_names, *ours):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Nothing())
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
