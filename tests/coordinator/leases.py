"""Leases that coordinators have taken, one after another."""

import time

from coordinator.store.lease import Lease


def led(url, name="first:1"):
    """Returns a lease that leads. The database notices a moment later that the session of the one before has ended."""
    lease = Lease(url, name, 60)
    for _ in range(200):
        lease.seek()
        if lease.leads:
            break
        time.sleep(0.05)
    assert lease.leads
    return lease
