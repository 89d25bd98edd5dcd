"""Variables that an orchestrator makes are no settings; what a person may have meant as one is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.commands.environment import PREFIX, variables

ADDRESS = "10.96.0.7"
URL = f"tcp://{ADDRESS}:8643"
INJECTED = {
    **{"SERVICE_HOST": ADDRESS, "SERVICE_PORT": "8643", "SERVICE_PORT_DEVICES": "8643", "SERVICE_PORT_GRPC_WEB": "1"},
    **{"PORT": URL, "PORT_8643_TCP": URL, "PORT_8643_TCP_ADDR": ADDRESS, "PORT_8643_TCP_PORT": "8643"},
    **{
        "PORT_8643_TCP_PROTO": "tcp",
        "PORT_53_UDP": "udp://10.0.0.1:53",
        "PORT_1_TCP_START": "1",
        "PORT_1_TCP_END": "9",
    },
    **{"NAME": "/web/fedau2-coordinator", "ENV_PATH": "/usr/bin", "ENV_STATE": "two\nlines", "ENV_python_version": ""},
}
MEANT = {"PORT": "9000", "NAME": "mine", "SERVICE_PORT": "off", "STAT": "x", "PORTS": URL, "ENV": "production", "": "x"}


@pytest.mark.parametrize("infix", ["", "1_", "METRICS_", "ADMIN_"])  # services and containers named like ours
def test_what_kubernetes_and_docker_make_is_passed_over(infix):
    assert variables({f"{PREFIX}{infix}{name}": value for name, value in INJECTED.items()}) == {}


@given(st.dictionaries(st.sampled_from(["STATE", "LISTEN", "TLS_KEY", "LOG_LEVEL", "AUDIT", "METRICS"]), st.text()))
def test_settings_are_kept_whatever_their_values(values):
    named = {f"{PREFIX}{name}": value for name, value in values.items()}
    assert variables(named | {"HOME": "/", "PATH": "/bin"}) == named


@pytest.mark.parametrize("name", MEANT)
def test_what_a_person_may_have_meant_is_kept_and_so_refused(name):
    assert variables({f"{PREFIX}{name}": MEANT[name]})
