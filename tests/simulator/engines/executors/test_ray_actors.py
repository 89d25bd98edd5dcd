"""A Ray cluster of two local nodes, of which one leaves in mid-round and another one joins."""

from functools import partial

import pytest

from simulator.engines.executors import ray_actors
from simulator.engines.executors.threads import Threads
from simulator.errors import ConfigError, ExecutorError
from tests.simulator.engines.executors.conftest import Trial


@pytest.fixture
def cluster():
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield nodes
    nodes.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_two_nodes_of_which_one_leaves_and_comes_back_give_the_bytes_of_a_thread(cluster):
    node = cluster.add_node(num_cpus=1)
    trial = Trial(2, partial(ray_actors.start, address=cluster.address))
    trial.round(0)
    second = trial.engine._executor._workers[1]
    assert second.ready
    send = second.send

    def then_leave(now, order):
        send(now, order)
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=1)

    second.send = then_leave
    trial.round(1)
    trial.round(2)
    left = trial.digest(rounds=0) if trial.reports else None
    assert left == Trial(1, Threads).digest()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_that_is_not_there_is_an_error(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
    with pytest.raises(ExecutorError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        Trial(1, partial(ray_actors.start, address="127.0.0.1:1"))


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'fedau2\[ray\]'"):
        Trial(1, partial(ray_actors.start, address=""))
