"""Plug-ins are found, and those that are broken, doubled or of another version are named in an error."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2 import plugins
from fedau2.plugins import API, KINDS, Plugin, PluginError, Registry

WORDS = st.from_regex(r"[a-z0-9][a-z0-9@.-]{0,8}", fullmatch=True)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Modules are found in a folder of the test's own, and nothing is left of them."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_used", {})
    monkeypatch.syspath_prepend(tmp_path)
    before = {*sys.modules}
    yield
    for cached in (plugins._installed, plugins._named):
        cached.cache_clear()
    for name in {*sys.modules} - before:
        del sys.modules[name]


def module(folder, name, code):
    (folder / f"{name}.py").write_text(f"from fedau2.plugins import Plugin\n{code}\n")


def package(folder, name, point, value):
    """An installed package, as far as `importlib.metadata` sees it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fedau2.plugins]\n{point} = {value}\n")
    plugins._installed.cache_clear()


def registry(**ours):
    return Registry("metrics", int, ours)


@given(st.dictionaries(WORDS, st.integers()), st.dictionaries(WORDS, st.integers()))
def test_a_registry_has_what_is_ours_and_then_what_is_added_unless_a_name_is_there_twice(ours, added):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "_used", {"one": Plugin("one", api=API, metrics=added)})
        known = Registry("metrics", int, ours)
        if ours.keys() & added.keys():
            with pytest.raises(
                PluginError, match=r"the plug-in 'one' adds metrics .*, which FedAU2 itself has already"
            ):
                list(known)
        else:
            assert list(known.items()) == [*ours.items(), *added.items()]
            assert len(known) == len(ours) + len(added)
            assert plugins.names("metrics") == list(added)
        assert all(known[name] == value for name, value in ours.items())  # whatever is wrong with a plug-in


def test_a_module_is_a_plug_in_of_this_process_and_of_those_that_it_starts(tmp_path):
    module(tmp_path, "mine", "PLUGIN = Plugin('mine', api=1, metrics={'seven': 'mine:SEVEN'})\nSEVEN = 7")
    assert plugins.taken(["run", "--plugin", "mine", "--out", "x", "--plugin=mine"]) == ["run", "--out", "x"]
    assert dict(registry()) == {"seven": 7}
    code = "from fedau2.plugins import Registry; print(dict(Registry('metrics', int, {})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "{'seven': 7}\n"


def test_an_installed_package_is_a_plug_in(tmp_path):
    module(tmp_path, "theirs", "PLUGIN = Plugin('theirs', api=1, metrics={'nine': 9})")
    package(tmp_path, "fedau2-theirs", "theirs", "theirs:PLUGIN")
    assert dict(registry()) == {"nine": 9}
    plugins.use("theirs")
    assert dict(registry()) == {"nine": 9}, "it is named twice, and there once"


def test_what_is_ours_is_looked_up_without_loading_any_plug_in(tmp_path):
    module(tmp_path, "slow", "raise AssertionError('it was loaded')")
    os.environ[plugins.VARIABLE] = "slow"
    assert registry(one=1)["one"] == 1
    assert "one" in registry(one=1)


def test_what_is_added_is_imported_when_it_is_looked_up(tmp_path):
    module(tmp_path, "lazy", "PLUGIN = Plugin('lazy', api=1, metrics={'late': 'lazy_part:LATE'})")
    plugins.use("lazy")
    assert list(registry()) == ["late"]
    assert "late" in registry()
    with pytest.raises(PluginError, match=r"metrics 'late' of the plug-in 'lazy' cannot be loaded: lazy_part:LATE"):
        registry()["late"]


def test_a_cell_of_a_notebook_can_be_run_again():
    for value in (1, 2):
        plugins.use(Plugin("cell", api=API, metrics={"number": value}))
        assert dict(registry()) == {"number": value}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("raise OSError('no such thing')", "the plug-in 'bad' cannot be loaded: bad:PLUGIN: OSError: no such thing"),
        ("raise SystemExit(3)", "the plug-in 'bad' cannot be loaded: bad:PLUGIN: SystemExit: 3; repair it"),
        ("PLUGIN = Plugin(", "the plug-in 'bad' cannot be loaded: bad:PLUGIN: SyntaxError"),
        ("OTHER = 1", "the plug-in 'bad' cannot be loaded: bad:PLUGIN: AttributeError"),
        ("PLUGIN = {}", "the plug-in 'bad' must be a fedau2.plugins.Plugin, not a dict"),
        (
            "PLUGIN = Plugin('bad', api=2, colours={})",
            "the plug-in 'bad' is made for version 2 of plug-ins, and this FedAU2 has version 1: install versions",
        ),
        (
            "PLUGIN = Plugin('bad', api=1, metric={})",
            "'bad' adds 'metric': only .* can be added; did you mean 'metrics'",
        ),
        ("PLUGIN = Plugin('bad', api=1, metrics={'A b': 1})", "'bad' adds metrics 'A b': a name consists of"),
    ],
)
def test_a_plug_in_that_is_broken_or_of_another_version_is_named(tmp_path, code, text):
    module(tmp_path, "bad", code)
    with pytest.raises(PluginError, match=text):
        plugins.use("bad")
    assert os.environ[plugins.VARIABLE] == ""
    package(tmp_path, "fedau2-bad", "worse", "bad:PLUGIN")
    with pytest.raises(PluginError, match=r"'bad'|'worse' of the package fedau2-bad"):
        list(registry())


@pytest.mark.parametrize("kind", KINDS)
def test_two_plug_ins_cannot_add_the_same_name_or_be_called_the_same(tmp_path, kind):
    module(tmp_path, "first", f"PLUGIN = Plugin('first', api=1, {kind}={{'same': 1}})")
    module(tmp_path, "second", f"PLUGIN = Plugin('second', api=1, {kind}={{'same': 1}})")
    module(tmp_path, "again", "PLUGIN = Plugin('first', api=1)")
    for name in ("first", "second"):
        plugins.use(name)
    with pytest.raises(PluginError, match=f"'second' adds {kind} 'same', which the plug-in 'first' has already"):
        list(Registry(kind, int, {}))
    plugins.use("again")
    with pytest.raises(PluginError, match="two plug-ins are called 'first'"):
        list(Registry(kind, int, {}))


def test_what_is_added_must_be_of_its_kind():
    plugins.use(Plugin("one", api=API, metrics={"text": "os:sep"}))
    with pytest.raises(PluginError, match="metrics 'text' of the plug-in 'one' must be a int, not a str"):
        registry()["text"]
