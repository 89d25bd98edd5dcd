"""Alerts and dashboard read metrics that a coordinator shows, and each alert has its section in the runbook."""

import asyncio
import json
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.grpc.expiry import Expiry
from coordinator.metrics.scrape import _scraped
from fedau2.v1.task_pb2 import Release
from fedau2.wire.status import StatusError
from tests.coordinator import conftest as tools
from tests.coordinator import hidden
from tests.deploy.files import DEPLOY, ROOT, parsed, read

RULES = [rule for group in parsed("monitoring/alerts.yaml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads(read("monitoring/dashboard.json"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [rule["expr"] for rule in RULES]
QUERIES += [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [note["expr"] for note in DASHBOARD["annotations"]["list"]]
QUERIES += ["fedau2_round{population=~'x'}"]  # of the variable `population`

FUNCTIONS = {
    *("time", "sum", "count", "rate", "increase", "changes", "histogram_quantile", "topk"),
    *("by", "unless", "le", "outcome", "population", "reason", "error", "shape", "tensors"),
}
"""Words of expressions that are no metrics."""

PROMETHEUS = {"up"}
"""Metrics that Prometheus makes itself."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """The label sets of each sample that a coordinator shows after it has seen everything, by the sample's name."""

    async def work():
        async with tools.open_lab(tmp_path_factory.mktemp("state")) as lab:
            bundle = tools.make_bundle()
            bundle.manifest.release.MergeFrom(Release(population="movies", sequence=1, issued=1, expires=2**40))
            task_id = await lab.create(bundle)
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            lease = await lab.assignment()
            with pytest.raises(StatusError):
                await lab.upload(lease, b"damaged")
            assert (await lab.check_in("nobody")).WhichOneof("result") == "rejection"
            await lab.fail(lease)
            lab.coordinator.metrics.show(Expiry({"tls_certificate": lambda: 1.0}).gauges)  # as `serve` does
            return _scraped(lab.coordinator.metrics.registry).decode()

    async def with_secure_sums():
        party = hidden.Party(tmp_path_factory.mktemp("unmasker") / "state")
        async with hidden.running(tmp_path_factory.mktemp("secure"), party) as cohort:  # the unmasker is away
            return _scraped(cohort.lab.coordinator.metrics.registry).decode()

    texts = [asyncio.run(work()), asyncio.run(with_secure_sums())]
    families = [family for text in texts for family in text_string_to_metric_families(text)]
    labels = {}
    for sample in (sample for family in families for sample in family.samples):
        labels.setdefault(sample.name, []).append({**sample.labels, "job": "fedau2-coordinator"})
    return labels


def words(query):
    """The names in an expression, without those of labels and their values."""
    return set(re.findall(r"[a-z_]\w*", re.sub(r"\{[^}]*\}|\[[^\]]*\]|#.*", "", query)))


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_exists(samples, query):
    names = words(query) - FUNCTIONS - PROMETHEUS
    assert names <= samples.keys()
    assert names or words(query) & PROMETHEUS


@pytest.mark.parametrize("query", [query for query in QUERIES if "{" in query])
def test_every_selector_selects_something(samples, query):
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", query):
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', matchers))
        labels = set(re.findall(r"(\w+)=", matchers))
        if name not in PROMETHEUS:
            assert any(wanted.items() <= had.items() and labels <= had.keys() for had in samples[name]), (name, wanted)


def test_labels_that_are_shown_exist(samples):
    for panel in PANELS:
        for target in panel["targets"]:
            (name,) = words(target["expr"]) - FUNCTIONS
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert all(label in labels for labels in samples[name]), (panel["title"], label)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_section_in_the_runbook(rule):
    name = rule["alert"]
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (page, anchor) == ("docs/runbook.md", name.lower())
    _, _, section = (ROOT / page).read_text("utf-8").partition(f"\n## {name}\n")
    section = section.partition("\n## ")[0]
    parts = ("**It means:**", "**Look at:**", "**Do:**")
    assert sorted(parts, key=section.index) == list(parts)


def test_the_runbook_has_no_section_for_an_alert_that_is_gone():
    sections = re.findall(r"^## (.*)$", (ROOT / "docs/runbook.md").read_text("utf-8"), re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]


def test_a_dashboard_has_panels_that_do_not_lie_over_each_other():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len({*ids}) == len(ids)
    cells = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        covered = {
            (place["x"] + column, place["y"] + line) for column in range(place["w"]) for line in range(place["h"])
        }
        assert not covered & cells, panel["title"]
        assert max(column for column, _ in covered) < 24
        cells |= covered


def test_grafana_finds_the_data_and_the_dashboard():
    (source,) = parsed("monitoring/grafana-datasources.yaml")["datasources"]
    services = parsed("coordinator/compose.yaml")["services"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = parsed("monitoring/grafana-dashboards.yaml")["providers"]
    places = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert any(place.startswith(provider["options"]["path"] + "/") for place in places)
    (job,) = parsed("monitoring/prometheus.yaml")["scrape_configs"]
    assert job["job_name"] == "fedau2-coordinator"
    (target,) = job["static_configs"][0]["targets"]
    assert target == "metrics:9643"
    assert services["metrics"]["command"][0].startswith("TCP-LISTEN:9643,")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("words", [["check", "config", "prometheus.yaml"], ["check", "rules", "alerts.yaml"]])
def test_promtool_finds_no_fault(words):
    subprocess.run(["promtool", *words], cwd=DEPLOY / "monitoring", check=True)
