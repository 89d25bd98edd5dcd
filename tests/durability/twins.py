"""Two runs of one task: one that nothing disturbs, and one that must end in the same bytes all the same."""

import shutil
from dataclasses import replace

from export import bundle as bundles
from tests.coordinator.postgres import administration
from tests.durability.audit import postgres_books
from tests.durability.devices import twin
from tests.durability.replicas import Replicas
from tests.durability.runs import Run
from tests.durability.sessions import Sessions


def database(server, name, template="template1"):
    """Makes a database on a server, as a copy of another one, and returns its URL."""
    with administration(server.url) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        connection.exec_driver_sql("CHECKPOINT")  # else a crash takes sequences back to what the template had
    return server.url.set(database=name).render_as_string(hide_password=False)


class Twins:
    """Two fleets of the same devices, each with a database and a shared folder in which the same task is.

    Both runs have one task, because devices draw other numbers for another.

    Args:
        fleet: the devices, of the reproducible mode.
        server: of PostgreSQL.
        bundle: folder of the task's bundle.
        make: makes the coordinators that make the task and serve the calm run, of a folder and a URL; by default one.

    Attributes:
        wild: the fleet of the run that is disturbed.
        url: of that run's ledger.
        task_id: of the task.
    """

    def __init__(self, fleet, server, bundle, make=None):
        self._calm, self.wild = (replace(fleet, folder=fleet.folder / name) for name in ("calm", "wild"))
        self._calm.make()
        self._calm_url = database(server, "calm")
        self._make = make or (lambda folder, url: Replicas(folder, url, 1))
        first = self._make(self._calm.folder, self._calm_url)
        try:
            first.supervise()
            options = ("--goal", fleet.cohort, "--over-selection", 6, "--lease", 10, "--deadline", 20)
            self.task_id = first.create_task(bundle, "--rounds", fleet.rounds, *options)
        finally:
            first.stop()
        shutil.copytree(self._calm.folder, self.wild.folder, copy_function=twin, dirs_exist_ok=True)
        self.url = database(server, "wild", "calm")
        self._bundle = bundles.read(bundle)

    def check(self, run):
        """Lets the calm run and this one happen, and compares them.

        Returns:
            The figures of the run, for people, and those of its devices' sessions.
        """
        Run(self._calm, self._make(self._calm.folder, self._calm_url), self.task_id).run()
        checkpoints, _ = self._audited(self._calm, self._calm_url)
        assert len(checkpoints) == self._calm.rounds
        figures = run.run()
        disturbed, told = self._audited(self.wild, self.url)
        assert disturbed == checkpoints
        assert self.wild.private(self.task_id) == self._calm.private(self.task_id)
        calm, sessions = Sessions.of(self._calm), Sessions.of(self.wild)
        assert not sessions.lost
        return f"\n{self.wild}: {figures}; {told};\n{sessions};\nundisturbed: {calm}", sessions

    def _audited(self, fleet, url):
        """Checks what must hold after any run. Returns the checkpoints and what happened, for people."""
        manifest = self._bundle.manifest
        with postgres_books(url) as ledger:
            ledger.check_histories()
            ledger.check_checkpoints(manifest, self._bundle.blob(manifest.checkpoint), fleet.sent)
            ledger.check_devices(fleet.journal(), fleet.private(self.task_id))
            return ledger.checkpoints(), ledger.told(fleet.journal())
