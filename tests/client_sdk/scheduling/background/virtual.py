"""Background work in virtual time: the clock moves when the thread waits, so no test waits for a clock."""

from threading import Event

from client_sdk import DeviceState

CHARGING = DeviceState(charging=True)
AT_MOST = 60.0


class VirtualClock:
    """Moves by what is waited for; after `turns` waits it stands still until the work is stopped."""

    def __init__(self, turns):
        self.now, self.turns, self.waits = 1e9, turns, []
        self.still, self.between = Event(), lambda: None

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def wait(self, event, seconds):
        self.waits.append(seconds)
        self.now += seconds
        self.between()
        if len(self.waits) == self.turns:
            self.still.set()
            event.wait()


def run(client, clock, *arguments, **options):
    client.background.start(*arguments, **options)
    assert clock.still.wait(AT_MOST)


def served(remote, bundle):
    """The coordinator assigns another round with each check-in."""
    answer, rounds = remote.check_in, iter(range(1000))

    def check_in(request):
        number = next(rounds)
        remote.assignment = bundle.assignment(number, number)
        return answer(request)

    remote.check_in = check_in
