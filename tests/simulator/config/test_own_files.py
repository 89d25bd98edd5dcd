import argparse
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.config import flags
from simulator.config.config import Config
from simulator.config.own_files import OwnFiles
from simulator.errors import ConfigError
from tests.simulator.datasets.own import CALM


@pytest.mark.parametrize("name", ["utf8", "UTF-8", "utf_8_sig", "latin-1", "cp1252", "utf-16", "UTF-32LE", "shift_jis"])
def test_an_encoding_is_noted_by_its_usual_name(name):
    noted = OwnFiles.of(encoding=name).encoding
    assert codecs.lookup(noted).name == noted == OwnFiles.of(encoding=noted).encoding
    assert noted == codecs.lookup(name).name.removesuffix("-sig")


@pytest.mark.parametrize("name", ["utf-9", "", "rot13", "hex", "zip", "a\0b", "\u00e9", 8, None])
def test_a_name_of_no_encoding_of_text_is_refused(name):
    with pytest.raises(ConfigError, match="encoding"):
        OwnFiles.of(encoding=name)


@CALM
@given(
    st.lists(st.integers(-999, 999), min_size=1, unique=True).map(sorted), st.sampled_from(["age", "a=b", "how old"])
)
def test_bins_are_read_as_they_are_written(numbers, name):
    own = OwnFiles.of(bins=[f" {name} = {', '.join(map(str, numbers))}"])
    assert own.edges == {name: tuple(numbers)}
    assert OwnFiles.of(bins=own.bins) == own
    assert own.changed() == ["bins"]


@pytest.mark.parametrize(
    ("bins", "text"),
    [
        (["age"], "'age' is not a column and its edges, such as age=25,45"),
        (["=3"], "is not a column"),
        (["age="], "is not a column"),
        (["age=25,,45"], "is not a column"),
        (["age=nan"], "is not a column"),
        (["age=45,25"], "must ascend"),
        (["age=25,25"], "must ascend"),
        (["age=25", "age=45"], "a column is named twice"),
        ("age=25", "expected a list"),
    ],
)
def test_bins_that_make_no_classes_are_refused(bins, text):
    with pytest.raises(ConfigError, match=text):
        Config.of({"data.bins": bins})


def test_the_flags_of_own_files_are_settings_of_a_run():
    parser = argparse.ArgumentParser()
    flags.add(parser)
    words = [
        "--encoding",
        "latin-1",
        "--user-column",
        "who",
        "--bin",
        "age=25, 45",
        "--bin",
        "income=1e3",
        "--fold-case",
    ]
    config = flags.configuration(parser.parse_args(words), None)
    assert config.data.edges == {"age": (25, 45), "income": (1000,)}
    assert config.data.changed() == ["encoding", "user_column", "bins", "fold_case"]
    assert flags.configuration(parser.parse_args(flags.words(config)), None) == config
    assert Config.of(config.document()) == config


def test_a_run_of_an_earlier_version_differs_in_no_setting_of_own_files():
    document = Config.of().document()
    for name in OwnFiles.model_fields:
        del document["data"][name]
    assert Config.of().differences(document) == []
    assert Config.of({"data.encoding": "latin-1"}).differences(document) == ["data.encoding: utf-8, now iso8859-1"]
