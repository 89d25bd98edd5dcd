"""Two or three coordinators share a ledger: whichever dies, sleeps or loses the database, nothing is lost."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from client_sdk.kernel import fedncf
from export import bundle as bundles
from tests import plans
from tests.coordinator.object_stores import s3_server, s3_url, s3_way
from tests.coordinator.postgres import Server, administration
from tests.durability.audit import postgres_books
from tests.durability.devices import ITEMS, Fleet
from tests.durability.replicas import Plan, Reaper, Replicas
from tests.durability.test_kill import twin

__all__ = ["s3_server", "s3_url", "s3_way"]

WIDTHS = fedncf.Widths(gmf=4, mlp=8, hidden=(8, 4))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    bundles.write(bundles.build("fedncf", ITEMS, plans.make("fedncf", plans.GENDER), 0, WIDTHS), folder)
    return folder


@pytest.fixture
def server(tmp_path_factory):
    """A server of its own, because it is killed."""
    if not shutil.which("initdb"):
        pytest.skip("no PostgreSQL (initdb, pg_ctl) is on the PATH")
    folder = Path(tmp_path_factory.mktemp("postgres"))
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    server = Server(folder)
    server.start()
    yield server
    server.stop()


def database(server, name, template="template1"):
    with administration(server.url) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        connection.exec_driver_sql("CHECKPOINT")  # else a crash takes sequences back to what the template had
    return server.url.set(database=name).render_as_string(hide_password=False)


def run(fleet, count, task_id, plan, server, url, bundle, objects=None):
    """Runs a fleet to its end, and checks what must hold after any run. Returns the checkpoints and the figures."""
    reaper = Reaper(fleet, Replicas(fleet.folder, url, count, objects), task_id, plan, server, url)
    figures = reaper.run()
    with postgres_books(url) as ledger:
        ledger.check_histories()
        ledger.check_checkpoints(bundle.manifest, bundle.blob(bundle.manifest.checkpoint), fleet.sent)
        ledger.check_devices(fleet.journal(), fleet.private(task_id))
        told = ledger.told(fleet.journal())
        return ledger.checkpoints(), f"\n{fleet}, {count} coordinators: {figures}; {told}"


def check(fleet, count, plan, server, bundle, capsys, objects=None):
    """Both runs have one task, because devices draw other numbers for another. The calm one has a shared folder."""
    options = ("--goal", fleet.cohort, "--over-selection", 6, "--lease", 10, "--deadline", 20)
    calm, wild = (replace(fleet, folder=fleet.folder / name) for name in ("calm", "wild"))
    calm.make()
    url = database(server, "calm")
    first = Replicas(calm.folder, url, 1)
    try:
        first.supervise()
        task_id = first.create_task(bundle, "--rounds", fleet.rounds, *options)
    finally:
        first.stop()
    shutil.copytree(calm.folder, wild.folder, copy_function=twin)
    if objects is not None:
        for number in range(count):
            shutil.copytree(calm.folder / "shared", wild.folder / f"local-{number}")
        shutil.rmtree(wild.folder / "shared")
    wild_url = database(server, "wild", "calm")
    read = bundles.read(bundle)
    checkpoints, _ = run(calm, 1, task_id, Plan(), server, url, read)
    assert len(checkpoints) == fleet.rounds
    disturbed, figures = run(wild, count, task_id, plan, server, wild_url, read, objects)
    assert disturbed == checkpoints
    assert wild.private(task_id) == calm.private(task_id)
    with capsys.disabled():
        print(figures)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kills"), [(2, 100), (3, 100)], ids=["two", "three"])
def test_two_hundred_kills_of_coordinators_and_twenty_of_the_database(tmp_path, server, bundle, capsys, count, kills):
    fleet = Fleet(tmp_path, devices=60, workers=2, rounds=30, cohort=30, seed=6)
    check(fleet, count, Plan(coordinators=kills, database=10, pauses=10), server, bundle, capsys)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kills"), [(2, 40), (3, 40)], ids=["two", "three"])
def test_machines_that_vanish_and_an_object_store_that_fails(
    tmp_path, server, bundle, capsys, s3_way, s3_url, count, kills
):
    """Nothing is shared but the ledger and the store, and one request of twenty-five fails or its answer is lost."""
    fleet = Fleet(tmp_path, devices=40, workers=2, rounds=20, cohort=20, seed=7)
    s3_way.fail_at_random(0.04, seed=7)
    check(fleet, count, Plan(coordinators=kills, database=6, pauses=6), server, bundle, capsys, s3_url)
    failed = ", ".join(f"{number} {kind}" for kind, number in s3_way.failed.items())
    with capsys.disabled():
        print(f"{len(s3_way.requests)} requests to the store, {failed}")
