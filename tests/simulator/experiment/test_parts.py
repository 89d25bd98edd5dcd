import subprocess
import sys

import pytest

from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP
from simulator.datasets import synthetic
from simulator.experiment.parts import Parts
from tests.simulator.runs import SMALL
from tests.simulator.settings import change

ALL = {GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP}
LATER = ("sklearn", "scipy", "sqlalchemy", "coordinator.engine.coordinator", "matplotlib", "onnx", "export.graphs")


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"engine": "batched"}, set()),
        ({"engine": "batched", "adversary_clip_norm": 1.0}, ALL - {GRAPH_KIND_STEP}),
        ({"engine": "fleet", "trainer": "onnx"}, ALL),
    ],
)
def test_a_batched_task_has_graphs_only_where_its_noise_is_keyed_by_them(settings, kinds):
    bundle = Parts.of(change(SMALL, **settings), synthetic.generate(60, 200)).bundle
    assert {graph.kind for graph in bundle.manifest.graphs} == kinds
    assert len(bundle.blobs) == 2 + len(kinds)


def test_a_batched_run_begins_without_what_only_fleets_and_attacks_need():
    code = f"import sys, simulator.experiment.run; print([name for name in {LATER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
