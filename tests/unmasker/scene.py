"""A round with contributions, and the coordinator that asks for its sum."""

from tests.unmasker.engine.test_rounds import identity
from tests.unmasker.sums import MEMBERS, Crowd, Task, ask


class Scene:
    """An unmasker, a task, devices, and their contributions to a round."""

    def __init__(self, unmasker, number=3, count=MEMBERS, **options):
        self.unmasker, self.number = unmasker, number
        self.task, self.crowd = Task(identity(unmasker), **options), Crowd(unmasker, count)
        self.open(number)

    def open(self, number):
        """Opens a round, to which all devices contribute."""
        self.number = number
        self.key = self.unmasker.open_round(self.task.opening(number)).key
        self.sent = self.task.contributions(self.key, self.crowd)

    def ask(self, sent=None, **changed):
        """Asks for the sum of contributions."""
        return ask(self.unmasker, self.task.asked(self.number, self.sent if sent is None else sent, **changed))

    def refused(self, sent=None):
        """Asks for a sum that is refused, and returns the contributions that are."""
        sent = self.sent if sent is None else sent
        response, masks = self.ask(sent)
        assert masks == b""
        leases = list(response.refused.leases)
        assert leases == sorted(leases)
        assert leases, "a sum was opened that must not be"
        return [contribution for contribution in sent if contribution.lease in leases]
