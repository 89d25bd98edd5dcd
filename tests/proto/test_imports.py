import importlib.util
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from fedau2 import imports

EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
COMMANDS = ("simulator", "export", "coordinator", "unmasker")


def named(requirement):
    """The distribution that a requirement names, or the extras of ours."""
    name, _, rest = requirement.partition("[")
    if name == "fedau2":
        return rest.partition("]")[0].split(",")
    return name.partition(">")[0].partition("=")[0].strip().lower()


def direct(extra):
    """The distributions that an extra names itself."""
    return {part for part in map(named, EXTRAS[extra]) if isinstance(part, str)}


def closure(extra):
    """The distributions that an extra brings."""
    nested = [closure(inner) for part in map(named, EXTRAS[extra]) if isinstance(part, list) for inner in part]
    return direct(extra).union(*nested)


def modules():
    """Packages in Python, with the distribution of an extra that brings them, as far as they are installed here."""
    wanted = {name for extra in EXTRAS if extra not in ("dev", "docs") for name in closure(extra)}
    for module, distributions in metadata.packages_distributions().items():
        for name in wanted & {distribution.lower().replace("_", "-") for distribution in distributions}:
            if not module.startswith("_"):
                yield module, name


@pytest.mark.parametrize("extra", COMMANDS)
def test_the_extra_that_is_named_brings_the_package(extra):
    known = list(modules())
    assert len(known) > 15
    for module, distribution in known:
        if distribution in closure(extra).union(*map(direct, imports._BESIDE.values())):
            assert distribution in closure(imports.extra_of(module, extra))


def raised(code, **modules):
    """The error of a module's body, which is imported as a user of the package would."""
    try:
        exec(compile(code, "ours.py", "exec"), {"__name__": "simulator.ours", **modules})
    except Exception as error:
        return error
    raise AssertionError


def package(folder, monkeypatch, body, name="broken"):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(body, "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_missing_package_names_its_extra(monkeypatch):
    for module, extra in (("sklearn", "simulator"), ("psycopg", "postgres"), ("nowhere_to_be_found", "simulator")):
        monkeypatch.setitem(sys.modules, module, None)
        said = imports.explain(raised(f"import {module}"), "simulator")
        assert said == f"{module} is not installed: it needs pip install 'fedau2[{extra}]'"


@pytest.mark.parametrize(
    "body",
    [
        "import broken.part_that_is_missing",
        "from broken import name_of_another_version",
        "raise ImportError('libfoo.so.12: cannot open shared object file')",
        "raise OSError('libfoo.so.12: cannot open shared object file')",
        "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
        "try:\n    import broken._core\nexcept ImportError as error:\n    raise ImportError('\\nREAD\\nIT') from error",
    ],
)
def test_a_package_that_is_installed_and_broken_is_not_said_to_be_missing(tmp_path, monkeypatch, body):
    package(tmp_path, monkeypatch, body)
    said = imports.explain(raised("import broken"), "simulator")
    assert said.startswith("broken is installed but cannot be imported (")
    assert said.endswith("pip install --force-reinstall broken")
    assert "fedau2[" not in said
    assert "\n" not in said


def test_a_package_that_lacks_another_names_the_other(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, "import another_that_is_missing")
    assert imports.explain(raised("import broken"), "export").startswith("another_that_is_missing is not installed")


@pytest.mark.parametrize("module", ["fcntl", "resource"])
def test_what_python_lacks_blames_no_extra(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    said = imports.explain(raised(f"import {module}"), "coordinator")
    assert said.startswith(f"this Python has no working module {module}")
    assert "pip" not in said


def test_a_disk_that_fails_is_no_damaged_package(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, "import errno, os\nraise OSError(errno.EROFS, os.strerror(errno.EROFS), '/cache')")
    said = imports.explain(raised("import broken"), "simulator")
    assert said == "broken cannot be imported: [Errno 30] Read-only file system: '/cache'"


def test_an_error_of_the_program_is_left_alone(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, "def work():\n    raise ValueError('no import')")
    for code in ("1 / 0", "import broken\nbroken.work()", "raise OSError('of our own')"):
        assert imports.explain(raised(code), "simulator") is None
    assert importlib.util.find_spec("broken")
