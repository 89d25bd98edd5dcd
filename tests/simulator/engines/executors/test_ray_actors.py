"""A Ray cluster of two local nodes, of which one leaves in mid-round and another one joins."""

import sys
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
    executor = trial.engine._executor
    while not all(worker.ready for worker in executor._workers):
        executor._crew.wait([], 0.1)
    first, second = executor._workers
    send = second.send

    def then_leave(now, order):
        send(now, order)
        if now.number == 1:
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(num_cpus=1)

    second.send = then_leave
    assert trial.digest() == Trial(1, Threads).digest()
    assert executor._workers[0] is first
    assert executor._workers[1] is not second


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:many"])
def test_a_cluster_that_is_not_there_is_an_error_at_once(address):
    with pytest.raises(ExecutorError, match=f"no Ray cluster answers at {address}"):
        ray_actors._expect_listening(address)


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'fedau2\[ray\]'"):
        Trial(1, partial(ray_actors.start, address=""))
