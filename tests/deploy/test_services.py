"""Compose files, manifests and units: their shape, what they confine, and that settings and paths fit together."""

import argparse
import re
import shutil
import subprocess
import tomllib

import pytest

from coordinator.commands.environment import PREFIX
from coordinator.commands.settings import Settings
from fedau2 import __version__
from tests.deploy.files import DEPLOY, documents, overlay, parsed, read
from unmasker.commands import flags

PARTIES = ("coordinator", "unmasker")
COMPOSE = {party: parsed(f"{party}/compose.yaml") for party in PARTIES}
MANIFESTS = {party: documents(f"kubernetes/{party}.yaml") for party in PARTIES}
UNITS = {party: read(f"systemd/fedau2-{party}.service") for party in PARTIES}
OWN = [COMPOSE[party]["services"][party] for party in PARTIES]
ACCOUNT = re.search(r"^USER (\d+):\d+$", read("container/Containerfile"), re.M)[1]


def pod(party):
    (found,) = [part for part in MANIFESTS[party] if part["kind"] == "StatefulSet"]
    return found["spec"]["template"]["spec"]


def settings_of_kubernetes():
    (found,) = [part for part in MANIFESTS["coordinator"] if part["kind"] == "ConfigMap"]
    return tomllib.loads(found["data"]["coordinator.toml"])


def options(words):
    """What a command of the unmasker's makes of its words."""
    parser = argparse.ArgumentParser()
    flags.add_serve(parser)
    assert words[0] == "serve"
    return parser.parse_args(words[1:])


@pytest.mark.parametrize("party", PARTIES)
def test_no_file_of_one_party_runs_a_service_of_the_other(party):
    (other,) = {*PARTIES} - {party}
    assert other not in COMPOSE[party]["services"]
    assert f"fedau2-{other}" not in str([COMPOSE[party], MANIFESTS[party], UNITS[party]])


@pytest.mark.parametrize("service", OWN, ids=PARTIES)
def test_a_service_is_confined(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert service["build"]["dockerfile"] == "deploy/container/Containerfile"
    target = service["build"]["target"]
    assert f"FROM base AS {target}\n" in read("container/Containerfile")


def test_what_a_compose_file_names_is_there():
    for party, compose in COMPOSE.items():
        for service in compose["services"].values():
            for volume in service.get("volumes", []):
                name = volume.split(":")[0]
                if name.startswith("../"):
                    assert (DEPLOY / party / name).is_file(), name
                elif not name.startswith("./"):
                    assert name in compose["volumes"], name
            assert {*service.get("secrets", [])} <= compose.get("secrets", {}).keys()
            assert {*service.get("depends_on", [])} <= compose["services"].keys()


def test_several_coordinators_share_all_but_their_address_and_their_disk():
    several = overlay("coordinator/several.yaml")
    services, base = several["services"], COMPOSE["coordinator"]
    pair = [services[name]["environment"] for name in ("coordinator", "coordinator-2")]
    own = [environment.pop("FEDAU2_COORDINATOR_REPLICA") for environment in pair]
    assert own == ["coordinator:8646", "coordinator-2:8646"]
    assert pair[0] == pair[1]
    for name in (name for name in pair[0] if name.startswith(PREFIX)):
        assert name.removeprefix(PREFIX).lower() in Settings.__dataclass_fields__
    for name, service in services.items():
        for volume in service.get("volumes", []):
            place = volume.split(":")[0]
            assert (DEPLOY / "coordinator" / place).exists() or place == "./tls" or place in several["volumes"], place
        assert {*service.get("depends_on", [])} <= services.keys() | base["services"].keys()
        assert name in base["services"] or service.get("image") or service.get("extends")
    balanced = re.findall(r"^  server \w+ (\S+):8643 ", read("coordinator/haproxy.cfg"), re.M)
    assert balanced == ["coordinator", "coordinator-2"]
    assert [name for name, service in services.items() if service.get("ports")] == ["balancer"]


def test_only_the_devices_address_is_open_to_others():
    services = COMPOSE["coordinator"]["services"]
    opened = [port for service in services.values() for port in service.get("ports", [])]
    assert opened == ["8643:8643", "127.0.0.1:3000:3000"]
    assert services["database"]["networks"] == ["ledger"]
    assert COMPOSE["coordinator"]["networks"]["ledger"] == {"internal": True}


def test_the_settings_are_settings_and_the_same_everywhere():
    compose, kubernetes = tomllib.loads(read("coordinator/coordinator.toml")), settings_of_kubernetes()
    assert compose.keys() <= set(Settings.__dataclass_fields__)
    of_tls = ("tls_certificate", "tls_key")  # a Secret for TLS has names of its own
    assert {name: value for name, value in compose.items() if name not in of_tls} == {
        name: value for name, value in kubernetes.items() if name not in of_tls
    }
    assert compose["state"].startswith("/var/lib/fedau2/"), "restore cannot make a mount point"


def test_the_unmasker_is_served_with_the_same_options_everywhere():
    unit = UNITS["unmasker"].replace("\\\n", " ")
    words = re.search(r"^ExecStart=/opt/fedau2/bin/fedau2-unmasker (.*)$", unit, re.M)[1].split()
    every = [options(OWN[1]["command"]), options(pod("unmasker")["containers"][0]["args"]), options(words)]
    for found in every:
        assert (found.listen, found.coordinator) == ("0.0.0.0:8653", "0.0.0.0:8654")
        assert found.log_format == "json"
        assert found.accept == ["invitation"], "devices are enrolled without evidence"
        assert found.tls_certificate
        assert found.coordinator_ca


@pytest.mark.parametrize("party", PARTIES)
def test_a_pod_is_confined(party):
    template = pod(party)
    account = template["securityContext"]
    assert template["automountServiceAccountToken"] is False
    assert account["runAsNonRoot"] is True
    assert {account["runAsUser"], account["runAsGroup"], account["fsGroup"]} == {int(ACCOUNT)}
    assert account["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in template["containers"]:
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        volumes = {volume["name"] for volume in template.get("volumes", [])} | {"state"}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert template["containers"][0]["image"].endswith(f":{__version__}")


@pytest.mark.parametrize("party", PARTIES)
def test_names_and_ports_of_manifests_belong_together(party):
    parts = {part["kind"]: part for part in MANIFESTS[party]}
    (namespace,) = {part["metadata"].get("namespace", part["metadata"]["name"]) for part in MANIFESTS[party]}
    assert parts["Namespace"]["metadata"]["name"] == namespace
    labels = parts["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert parts["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
    assert parts["Service"]["spec"]["selector"] == labels
    assert parts["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"] for container in pod(party)["containers"] for port in container.get("ports", [])}
    assert {port["targetPort"] for port in parts["Service"]["spec"]["ports"]} <= ports
    assert parts["StatefulSet"]["spec"]["replicas"] == 1


@pytest.mark.parametrize("party", PARTIES)
def test_health_is_asked_as_the_image_asks_it(party):
    container = pod(party)["containers"][0]
    command = container["readinessProbe"]["exec"]["command"]
    assert command == container["startupProbe"]["exec"]["command"]
    assert f"CMD {command}".replace("'", '"') in read("container/Containerfile")


@pytest.mark.parametrize("party", PARTIES)
def test_there_is_time_to_drain(party):
    drain = Settings().drain + 5 if party == "coordinator" else 5
    compose = COMPOSE[party]["services"][party]["stop_grace_period"].removesuffix("s")
    unit = re.search(r"^TimeoutStopSec=(\d+)$", UNITS[party], re.M)[1]
    for seconds in (compose, unit, pod(party)["terminationGracePeriodSeconds"]):
        assert int(seconds) > drain


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("party", PARTIES)
def test_systemd_finds_no_fault(tmp_path, party):
    unit = tmp_path / f"fedau2-{party}.service"
    unit.write_text(UNITS[party].replace(f"/opt/fedau2/bin/fedau2-{party}", shutil.which("true")))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    words = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:]
