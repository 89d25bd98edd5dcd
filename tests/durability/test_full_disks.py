"""A disk is full, at one coordinator of several or in the folder that they share: nothing acknowledged is lost."""

import shutil
import subprocess

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability.devices import Fleet
from tests.durability.full_disks import FullDisks
from tests.durability.replicas import Replicas
from tests.durability.twins import Twins


@pytest.fixture
def small_disk():
    """Mounts a file system of 16 MiB at a folder, until the test has ended."""
    mounted = []

    def mount(folder):
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this user may not mount a small file system")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_with_room_again_it_goes_on_to_the_same_bytes(tmp_path, server, small_bundle, small_disk, capsys):
    small_disk(tmp_path / "wild" / "shared")
    twins = Twins(Fleet(tmp_path, devices=40, workers=2, rounds=12, cohort=20, seed=10), server, small_bundle)
    told, _ = twins.check(FullDisks(twins.wild, Replicas(twins.wild.folder, twins.url, 2), twins.task_id))
    with capsys.disabled():
        print(told)
