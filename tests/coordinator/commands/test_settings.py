"""Settings from file, environment and flags."""

import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from coordinator.commands import loading
from coordinator.commands.settings import Settings
from coordinator.errors import SettingError

OFF = ("off", "false", "no", "0", "none", "")


def load(*flags, **environment):
    parser = argparse.ArgumentParser()
    loading.add_flags(parser)
    return loading.load(parser.parse_args(flags), environment)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "coordinator.toml"
    file.write_text('state = "from-file"\ndrain = 5\nlog_level = "debug"\n')
    variables = {"FEDAU2_COORDINATOR_DRAIN": "6", "FEDAU2_COORDINATOR_STATE": "from-variable", "HOME": "/"}
    loaded = load("--config", str(file), "--state", "from-flag", **variables)
    assert loaded.settings == Settings(state=Path("from-flag"), drain=6.0, log_level="DEBUG")
    assert loaded.sources["state"] == "flag --state"
    assert loaded.sources["drain"] == "variable FEDAU2_COORDINATOR_DRAIN"
    assert loaded.sources["log_level"] == f"file {file}"
    assert loaded.sources["listen"] == "default"


def test_a_service_of_the_same_name_changes_nothing():
    injected = {"SERVICE_HOST": "10.96.0.7", "SERVICE_PORT": "8643", "PORT": "tcp://10.96.0.7:8643"}
    variables = {f"FEDAU2_COORDINATOR_{name}": value for name, value in injected.items()}
    assert load("--state", "x", **variables).settings == Settings(state=Path("x"))


def test_addresses_of_every_kind_can_be_set(tmp_path):
    settings = load(
        "--state", "x", "--listen", "[::1]:0", "--admin", f"unix:{tmp_path}/a", "--metrics", "[::1]:0"
    ).settings
    assert (settings.listen, settings.admin, settings.metrics) == ("[::1]:0", f"unix:{tmp_path}/a", "[::1]:0")


def test_an_audit_has_an_absolute_folder(tmp_path):
    assert load("--state", "x").settings.audit is None
    assert load("--state", "x", "--audit", str(tmp_path)).settings.audit == tmp_path


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("postgresql://fed:secret@db/fedau2", "postgresql://fed:***@db/fedau2"),
        ("postgresql://fed@db/fedau2?password=secret&port=1", "postgresql://fed@db/fedau2?password=***&port=1"),
        ("postgresql://db/fedau2?port=1&sslpassword=secret", "postgresql://db/fedau2?port=1&sslpassword=***"),
    ],
)
def test_what_is_printed_names_every_setting_and_hides_passwords(url, printed):
    lines = load("--state", "x", "--database", url).describe()
    assert [line.split()[0] for line in lines] == [each.name for each in fields(Settings)]
    assert not any("secret" in line for line in lines)
    assert any(printed in line for line in lines)


ORIGINS = ("https://shop.example.com", "http://localhost:5173")


def test_pages_are_named_once_for_each_flag_or_in_a_list(tmp_path):
    file = tmp_path / "coordinator.toml"
    file.write_text(f"web_origin = {list(ORIGINS)}")
    base = ("--state", "x", "--web", "127.0.0.1:0")
    flags = [part for origin in ORIGINS for part in ("--web-origin", origin)]
    for loaded in (
        load(*base, *flags),
        load(*base, "--web-origin", "https://SHOP.example.com/", "--web-origin", ORIGINS[1]),
        load(*base, "--config", str(file)),
        load(*base, FEDAU2_COORDINATOR_WEB_ORIGIN=", ".join(ORIGINS)),
    ):
        assert loaded.settings.web_origin == ORIGINS
        assert any(", ".join(ORIGINS) in line for line in loaded.describe())
    assert load(*base).settings.web_origin == ()
    assert load(*base, "--web-origin", "*").settings.web_origin == ("*",)
    usual = load(*base, "--web-origin", "https://a:443,http://b:80,https://c:80,http://d:8080").settings.web_origin
    assert usual == ("https://a", "http://b", "https://c:80", "http://d:8080")  # as browsers write them


NO_ORIGINS = (
    "shop.example.com",
    "https://",
    "https://a/b",
    "https://a?b",
    "https://a b",
    "null",
    "*.a",
    "https://*.a",
    "*,https://a",
    "",
)


TOKENS = ["--admin-token-keys", "k", "--admin-token-issuer", "i", "--admin-token-audience", "a"]


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(SettingError, match="web_origin must be ORIGIN"):
        load("--state", "x", "--web", "127.0.0.1:0", "--web-origin", origin)


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ([], {}, "state is not set"),
        (["--state", "x", "--drain", "soon"], {}, "flag --drain: drain must be SECONDS"),
        (["--state", "x", "--drain", "-1"], {}, "flag --drain"),
        (["--state", "x", "--log-level", "loud"], {}, "log_level must be LEVEL"),
        (["--state", "x", "--listen", "8643"], {}, "listen must be HOST:PORT"),
        (["--state", "x", "--tls-key", "k"], {}, "tls_certificate and tls_key go together"),
        (["--state", "x", "--listen", "0.0.0.0:1"], {}, "needs tls_certificate and tls_key"),
        (["--state", "x", "--listen", "127.0.0.1:99999"], {}, "listen must be HOST:PORT: .* no port from 0 to 65535"),
        (["--state", "x", "--listen", "::1:0"], {}, r"listen must be HOST:PORT: .*\[IPv6\]:port"),
        (["--state", "x", "--listen", "127.evil.example.com:1"], {}, "needs tls_certificate and tls_key"),
        (["--state", "x", "--listen", "unix:"], {}, "listen must be HOST:PORT: 'unix:' names no socket"),
        (["--state", "x", "--listen", "unix:/no/such/folder/d.sock"], {}, "needs the folder /no/such/folder"),
        (["--state", "x", "--listen", "unix:/tmp"], {}, "unix:/tmp is not a socket but another file"),
        (
            ["--state", "x", "--admin", "127.0.0.1.nip.io:1"],
            {},
            "admin is .*nip.io:1, which is not a loopback address: operators must show certificates",
        ),
        (["--state", "x", "--admin", "unix:a,b"], {}, "admin must be HOST:PORT"),
        (["--state", "x", "--metrics", "[::1]:70000"], {}, "metrics must be HOST:PORT"),
        (["--state", "x", "--admin", "[::1]:9", "--metrics", "[::1]:9"], {}, r"admin and metrics are both \[::1\]:9"),
        (["--state", "x", "--listen", "unix:a", "--admin", "unix:./a"], {}, "listen and admin are both unix:/"),
        (["--state", "x", "--admin", "0.0.0.0:1"], {}, "admin is 0.0.0.0:1, which is not a loopback address"),
        (["--state", "x", "--admin-tls-key", "k"], {}, "admin_tls_certificate and admin_tls_key go together"),
        (["--state", "x", "--admin-tls-client-ca", "c"], {}, "admin_tls_client_ca asks for callers' certificates"),
        (["--state", "x", "--admin-roles", "r"], {}, "it needs admin_tls_client_ca"),
        (["--state", "x", "--admin-token-issuer", "i"], {}, "admin_token_audience go together"),
        (["--state", "x", *TOKENS], {}, "over TLS alone: it needs admin_tls_certificate"),
        (["--state", "x", "--web", "0.0.0.0:1"], {}, "web is 0.0.0.0:1, .* needs tls_certificate and tls_key"),
        (["--state", "x", "--web", "127.0.0.1:8643"], {}, "listen and web are both 127.0.0.1:8643"),
        (["--state", "x", "--web-origin", "*"], {}, "web_origin says .* it needs web"),
        (["--state", "x", "--metrics", "10.0.0.1:1"], {}, "metrics is 10.0.0.1:1"),
        (["--state", "x", "--unmasker", "127.0.0.1:1"], {}, "unmasker and unmasker_key go together"),
        (["--state", "x", "--unmasker-key", "k"], {}, "unmasker and unmasker_key go together"),
        (["--state", "x", "--unmasker", "a:1", "--unmasker-key", "/no/key"], {}, "unmasker_key /no/key cannot be read"),
        (["--state", "x", "--unmasker", "foo", "--unmasker-key", "k"], {}, "unmasker must be HOST:PORT: .* no port"),
        (["--state", "x", "--unmasker-tls-key", "k"], {}, "unmasker_tls_certificate and unmasker_tls_key go together"),
        (["--state", "x", "--unmasker-tls-ca", "c"], {}, "need unmasker and unmasker_key"),
        (["--state", "x", "--audit", "/a", "--unmasker", "a:1", "--unmasker-key", "k"], {}, "unset one"),
        (["--state", "x"], {"FEDAU2_COORDINATOR_DRAINS": "1"}, "FEDAU2_COORDINATOR_DRAINS: there is no setting"),
        (["--state", "x"], {"FEDAU2_COORDINATOR_PORT": "9000"}, "FEDAU2_COORDINATOR_PORT: there is no setting"),
        *((["--state", "x"], {"FEDAU2_COORDINATOR_AUDIT": word}, "AUDIT: audit must be /DIR") for word in OFF),
        (["--state", "x", "--audit", "./here"], {}, "flag --audit: audit must be /DIR"),
        (["--config", "no.toml"], {}, r"file no\.toml cannot be read"),
    ],
)
def test_what_cannot_be_meant_names_its_source(flags, environment, message):
    with pytest.raises(SettingError, match=message):
        load(*flags, **environment)


@pytest.mark.parametrize(
    "text",
    [
        "drain = true",
        "drain = []",
        "web_origin = []",
        "web_origin = [1]",
        'listen = ["127.0.0.1:1"]',
        'drain = ""',
        "state = ",
        "colour = 1",
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=r"wrong\.toml"):
        load("--state", "x", "--config", str(file))


def test_every_setting_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    for each in fields(Settings):
        assert f"| `{each.name}` | {each.metadata['help']} |" in page
