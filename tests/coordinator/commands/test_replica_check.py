"""The settings of several coordinators are checked before anything is served."""

import re

import pytest

from coordinator.cli import main

POSTGRES = ("--database", "postgresql://host/ledger")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--replica", "127.0.0.1:1"), "replica needs a ledger that several coordinators can share"),
        (("--replica", "127.0.0.1:1", "--database", "sqlite:///x"), "A ledger in SQLite has one coordinator"),
        (("--replica", "10.0.0.1:1", *POSTGRES), "coordinators must show certificates"),
        (("--replica", "0.0.0.0:1", *POSTGRES), "which others cannot call"),
        (("--replica", "[::]:1", *POSTGRES), "which others cannot call"),
        (("--replica", f"{'x' * 70}.localhost:1", *POSTGRES), "it may have 63 bytes"),
        (("--replica", "127.0.0.1:8643", *POSTGRES), "give each an address of its own"),
        (("--replica", "127.0.0.1:1", *POSTGRES, "--audit", "/audit"), "unset one"),
        (("--replica", "127.0.0.1:1", *POSTGRES, "--admin", "unix:/run/admin"), "admin is a socket of this account"),
        (("--replica", "127.0.0.1:1", *POSTGRES, "--listen", "unix:/run/devices"), "listen is a socket of this acc"),
        (("--replica", "127.0.0.1:1", *POSTGRES, "--replica-lease", "1"), "replica_lease must be SECONDS"),
        (("--replica-tls-certificate", "c.pem", "--replica-tls-key", "k.pem"), "replica_tls_\\* need replica"),
    ],
)
def test_settings_that_cannot_be_used_are_named_before_anything_is_served(options, text, capsys):
    assert main(["serve", "--check", "--state", "state", *options]) == 1
    assert re.search(text, capsys.readouterr().err)


def test_beside_sockets_of_one_account_coordinators_call_each_other_by_sockets(capsys):
    sockets = ("--admin", "unix:/run/admin", "--listen", "unix:/run/devices", "--replica", "unix:/run/replica")
    assert main(["serve", "--check", "--state", "state", *sockets, *POSTGRES]) == 0


def test_files_of_coordinators_are_tried_on_each_other(tmp_path, capsys):
    def checked(folder, authority="pki"):
        pem, options = tmp_path / "pki" / folder, ("--replica", "10.0.0.1:1", *POSTGRES)
        files = ("--replica-tls-certificate", pem / "certificate.pem", "--replica-tls-key", pem / "key.pem")
        ca = ("--replica-tls-client-ca", tmp_path / authority / "authority.pem")
        return main(["serve", "--check", "--state", "state", *options, *map(str, (*files, *ca))])

    names = ("--host", "fed.example.com", "--replicas", "coordinators.example")
    assert main(["certificates", "--out", str(tmp_path / "pki"), *names]) == 0
    assert main(["certificates", "--out", str(tmp_path / "other"), "--replicas", "coordinators.example"]) == 0
    assert "--replica-tls-certificate" in capsys.readouterr().out
    assert checked("replicas") == 0
    capsys.readouterr()
    assert checked("coordinator") == 1
    assert "for servers and clients" in capsys.readouterr().err
    assert checked("replicas", "other") == 1
    assert "signed by replica_tls_client_ca" in capsys.readouterr().err


def test_where_callers_show_who_they_are_coordinators_do_so_too(tmp_path, capsys):
    pki = tmp_path / "pki"
    assert main(["certificates", "--out", str(pki), "--host", "localhost"]) == 0
    own = pki / "coordinator"
    files = ("--admin-tls-certificate", own / "certificate.pem", "--admin-tls-key", own / "key.pem")
    options = ("--replica", "127.0.0.1:1", *POSTGRES, *map(str, files))
    asked = ("--admin-tls-client-ca", str(pki / "authority.pem"))
    assert main(["serve", "--check", "--state", "state", *options]) == 0
    assert main(["serve", "--check", "--state", "state", *options, *asked]) == 1
    assert "a coordinator speaks for them" in capsys.readouterr().err
