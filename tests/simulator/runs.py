"""Small runs on the synthetic data set, and on own data made of it."""

from export.bundle import from_plan
from simulator.datasets.split import leave_one_out
from simulator.experiment import assembly, parts, run_data
from tests.simulator.settings import change, make

SMALL = make(dataset="synthetic", rounds=4, evaluate_every=2, users=60, items=200, workers=1, attack_splits=1)

OWN = change(SMALL, dataset="own", attributes=["kind"])


def prepared(config, dataset=None, interactions=None):
    """Data set, bundle and population of a configuration. All of a data set that is given is trained on."""
    seed = config.engine.seed
    if dataset is None:
        dataset = run_data.dataset_of(config.data, seed, None)
        interactions = leave_one_out(dataset, config.evaluation.split).train
    attributes = {name: assembly.attribute_of(dataset, name) for name in config.data.attributes}
    known = assembly.known(attributes, config.data.unknown, seed)
    plan, training = assembly.plan_of(config.plan, known), config.engine.trainer == "onnx"
    bundle = from_plan(plan, dataset.items, seed, training=training, serving=parts.needs_graphs(config.engine, plan))
    interactions = dataset.histories() if interactions is None else interactions
    return dataset, bundle, assembly.population_of(bundle, seed, interactions, known)


def figures(metrics):
    return {name: value for name, value in metrics.items() if name not in ("seconds", "cpu_ms", "peak_rss_mib")}


def write_own(folder, dataset, items=200, classes=("a", "b"), attribute="kind"):
    """A data set as atomic files, of which the catalogue or the classes may be cut down."""
    folder.mkdir(exist_ok=True)
    pairs = [
        f"{dataset.users[u]}\t{dataset.items[i]}" for u, i in zip(dataset.user, dataset.item, strict=True) if i < items
    ]
    (folder / "own.inter").write_text("\n".join(["user_id:token\titem_id:token", *pairs]))
    labels = [classes[label] for label in dataset.attributes["gender"].labels]
    rows = [f"{user}\t{label}" for user, label in zip(dataset.users, labels, strict=True)]
    (folder / "own.user").write_text("\n".join([f"user_id:token\t{attribute}:token", *rows]))
