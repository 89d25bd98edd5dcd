import numpy as np
import pytest

from client_sdk.kernel import fedncf
from client_sdk.onnx.graph import metadata
from export import exporter, graphs
from export.bundle import Bundle, build, write
from export.errors import DamagedBundleError, UnknownModelError, VerificationError
from export.verify import check_recommendation, verify
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs
from tests import plans


def corrupt(small, folder, change):
    """Writes the small bundle with some resources replaced: a whole bundle that contradicts itself."""
    task, contents = TaskManifest(), dict(small.blobs)
    task.CopyFrom(small.manifest)
    for resource, data in change(task):
        contents[blobs.sha256(data)] = data
        resource.CopyFrom(blobs.resource(data))
    used = {task.catalogue.sha256, task.checkpoint.sha256, *(graph.resource.sha256 for graph in task.graphs)}
    write(Bundle(task, {key: data for key, data in contents.items() if key in used}), folder)


def test_a_bundle_as_built_holds(folder):
    lines = list(verify(folder))
    assert [line.split(":")[0] for line in lines] == [
        "manifest",
        "blobs",
        "catalogue",
        "checkpoint",
        "plan",
        "graphs",
        "training graph",
    ]


def test_damage_is_found_first(folder):
    next((folder / "blobs").iterdir()).unlink()
    with pytest.raises(DamagedBundleError):
        list(verify(folder))


def checkpoint(small, **changes):
    tensors = blobs.unpack(small.blob(small.manifest.checkpoint))
    return blobs.pack({name: value for name, value in (tensors | changes).items() if value is not None})


def of_another_model(small, task):
    """Says that it is FedRAP, graphs and all, and has FedNCF's tensors."""
    task.model = "fedrap"
    task.plan.parameters["l1_weight"] = 0.1
    return [
        (each.resource, exporter.stamp(small.blob(each.resource), metadata(task, each.kind))) for each in task.graphs
    ]


NAN = np.array([np.nan], np.float32)
WRONG = {
    "lists 2 items, the manifest says 11": lambda s, task: [(task.catalogue, b"a\nb\n")],
    "twice": lambda s, task: [(task.catalogue, b"a\na\n")],
    "not a readable safetensors": lambda s, task: [(task.checkpoint, b"checkpoint")],
    "same tensors: output.bias": lambda s, task: [(task.checkpoint, checkpoint(s, **{"output.bias": None}))],
    "same tensors: extra": lambda s, task: [(task.checkpoint, checkpoint(s, extra=NAN))],
    "not finite": lambda s, task: [(task.checkpoint, checkpoint(s, **{"output.bias": NAN}))],
    "shape": lambda s, task: [(task.checkpoint, checkpoint(s, **{"output.bias": np.zeros(2, np.float32)}))],
    "float64": lambda s, task: [(task.checkpoint, checkpoint(s, **{"output.bias": np.zeros(1)}))],
    "PREPARE is refused: it is not an ONNX file": lambda s, task: [(task.graphs[0].resource, b"graph")],
    "graph is .GRAPH_KIND_PREPARE. and not": lambda s, task: [
        (task.graphs[2].resource, s.blob(task.graphs[0].resource))
    ],
    "PREPARE is refused: 'Scan' brings a graph": lambda s, task: [
        (task.graphs[0].resource, s.blob(task.graphs[1].resource))
    ],
    "0 graphs of kind GRAPH_KIND_RECOMMEND": lambda s, task: task.graphs.pop(1) and [],
    "recommending cannot be compared with PyTorch: KeyError": lambda s, task: of_another_model(s, task),
    r"agree in \d of 20 local steps": lambda s, task: setattr(task.tensors[0].initializer, "scale", 1e30) or [],
    "fedrap: the plan lacks the recommender's parameter 'l1_weight'": lambda s, task: (
        setattr(task, "model", "fedrap") or []
    ),
    "fedncf: the recommender does not know the parameter 'mu'; it has no parameters": lambda s, task: (
        task.plan.parameters.update(mu=0.5) or []
    ),
    "by the manifest devices draw by DRAW_WHOLE": lambda s, task: setattr(task, "draw", task_pb2.DRAW_WHOLE) or [],
    "2 graphs of kind GRAPH_KIND_PREPARE": lambda s, task: task.graphs.add().CopyFrom(task.graphs[0]) or [],
}


@pytest.mark.parametrize("message", WRONG)
def test_parts_that_contradict_each_other_are_named(small, tmp_path, message):
    corrupt(small, tmp_path / "bundle", lambda task: WRONG[message](small, task))
    with pytest.raises(VerificationError, match=message):
        list(verify(tmp_path / "bundle"))


def test_private_state_that_no_device_holds_is_told(small, tmp_path):
    def change(task):
        task.tensors[[each.name for each in task.tensors].index("user_gmf")].shape[:] = [2**31]
        return []

    corrupt(small, tmp_path / "bundle", change)
    with pytest.raises(VerificationError, match="private tensors take 8589934"):
        list(verify(tmp_path / "bundle"))


def test_an_unknown_model_is_refused(small, tmp_path):
    corrupt(small, tmp_path / "bundle", lambda task: setattr(task, "model", "fedfoo") or [])
    with pytest.raises(UnknownModelError, match="'fedfoo'"):
        list(verify(tmp_path / "bundle"))


def test_a_graph_that_computes_something_else_is_found(small, tmp_path):
    class Other:
        """Scores with the sign turned round."""

        @staticmethod
        def prepare(shared):
            return fedncf.prepare(shared)

        @staticmethod
        def user(serving, private, history):
            return private

        @staticmethod
        def score(serving, user):
            return -fedncf.score(serving, user)

    task, kind = small.manifest, task_pb2.GRAPH_KIND_RECOMMEND
    wrong = exporter.stamp(graphs.export(Other, task.tensors).recommend, metadata(task, kind))
    corrupt(small, tmp_path / "bundle", lambda task: [(task.graphs[1].resource, wrong)])
    assert task.graphs[1].kind == kind
    with pytest.raises(VerificationError, match="differ"):
        list(verify(tmp_path / "bundle"))


LOGITS = np.array([0.5, 3, 3, -1, 2], np.float32)


@pytest.mark.parametrize("order", [[1, 2, 4], [2, 1, 4]])
def test_ties_may_come_in_any_order(order):
    check_recommendation(np.array(order), LOGITS[order], LOGITS, np.zeros(0, np.int64), 3)


@pytest.mark.parametrize(
    ("items", "scores", "message"),
    [
        ([1, 2], [3, 3], "gives"),
        ([1, 1, 4], [3, 3, 2], "twice"),
        ([1, 2, 5], [3, 3, 2], "not rows"),
        ([-1, 1, 2], [3, 3, 2], "not rows"),
        ([1.0, 2.0, 4.0], [3, 3, 2], "not rows"),
        ([1, 2, 0], [3, 3, 0.5], "differ"),
        ([1, 2, 0], [3, 3, 2], "differ"),
        ([4, 1, 2], [2, 3, 3], "differ"),
        ([1, 2, 4], [3, 3, 2.001], "differ"),
        ([1, 2, 4], [3, 3, np.nan], "differ"),
        ([1, 2, 4], [3, 3, -np.inf], "differ"),
    ],
)
def test_a_wrong_recommendation_is_found(items, scores, message):
    with pytest.raises(VerificationError, match=message):
        check_recommendation(np.array(items), np.array(scores, np.float32), LOGITS, np.zeros(0, np.int64), 3)


def test_a_seen_item_among_unseen_ones_is_found():
    with pytest.raises(VerificationError, match="differ"):
        check_recommendation(np.array([1, 2, 4]), LOGITS[[1, 2, 4]], LOGITS, np.array([1, 1]), 3)


def test_a_graph_that_ignores_the_maps_of_an_eraser_is_found(tmp_path):
    smallest = {"eraser__steps": 1, "eraser__frequencies": 4}
    plan, widths = plans.make(erased=[plans.GENDER], **smallest), fedncf.Widths(gmf=2, mlp=2, hidden=(3,))
    made = build("fedncf", ["a", "b", "c"], plan, 0, widths, training=False)
    write(made, tmp_path / "right")
    assert "graphs: load" in list(verify(tmp_path / "right"))[-1]
    task, kind = made.manifest, task_pb2.GRAPH_KIND_RECOMMEND
    unmoved = exporter.stamp(graphs.export(fedncf, task.tensors).recommend, metadata(task, kind))
    corrupt(made, tmp_path / "wrong", lambda task: [(task.graphs[1].resource, unmoved)])
    with pytest.raises(VerificationError, match="differ"):
        list(verify(tmp_path / "wrong"))
