"""Limits on what one network address may do. There is no clock here: `now` (in seconds) is passed in."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

BURST = 10.0
"""Seconds whose calls may come at once."""

MOST = 100_000
"""Most addresses that are known at a time. Those that called longest ago are forgotten first."""

_NETWORK = 64
"""Bits of an IPv6 address that name its network. Whoever has one has all addresses of it."""


@dataclass
class _Use:
    """The use that an address makes: calls that are left to it as of a time, calls under way, and bytes of uploads."""

    left: float
    since: float
    calls: int = 0
    bytes: int = 0


class AddressLimits:
    """The use that each address makes, and the limits of it.

    Callers without an address, and those of this machine's own address, such as a proxy, are not limited.

    Args:
        rate: calls a second that an address may make; 0: any number.
        calls: calls that an address may have under way; 0: any number.
        bytes: bytes of uploads that an address may have under way; 0: any number.
    """

    def __init__(self, rate: float = 0, calls: int = 0, bytes: int = 0) -> None:
        self._rate, self._calls, self._bytes = rate, calls, bytes
        self._burst = max(1.0, rate * BURST)  # a call needs one, however low the rate is
        self._uses = OrderedDict[str, _Use]()

    def fresh(self) -> "AddressLimits":
        """Returns the same limits for another service, which counts the calls that it gets itself."""
        return AddressLimits(self._rate, self._calls, self._bytes)

    def __len__(self) -> int:
        return len(self._uses)

    def begin(self, address: str, now: float) -> str:
        """Notes a call. Returns the limit that keeps it from being made, "rate" or "calls"; empty: none does.

        A call that may be made ends by `end`.
        """
        if (key := network(address)) is None:
            return ""
        use = self._refreshed(key, now)
        if self._rate and use.left < 1:
            return "rate"
        if self._calls and use.calls >= self._calls:
            return "calls"
        use.left -= 1
        use.calls += 1
        return ""

    def _refreshed(self, key: str, now: float) -> _Use:
        use = self._uses.pop(key, None) or _Use(self._burst, now)
        self._uses[key] = use  # the newest
        self._forget()
        use.left = min(self._burst, use.left + (now - use.since) * self._rate)
        use.since = now
        return use

    def end(self, address: str) -> None:
        """Notes that a call has ended."""
        if (use := self._known(address)) is not None:
            use.calls -= 1

    def take(self, address: str, size: int) -> bool:
        """Notes an upload of some bytes, which ends by `give`; returns False if it may not begin.

        An upload is never too large by itself.
        """
        use = self._known(address)
        if use is None:
            return True
        if self._bytes and use.bytes and use.bytes + size > self._bytes:
            return False
        use.bytes += size
        return True

    def give(self, address: str, size: int) -> None:
        """Notes that an upload has ended."""
        if (use := self._known(address)) is not None:
            use.bytes -= size

    def _known(self, address: str) -> _Use | None:
        key = network(address)
        return None if key is None else self._uses.get(key)

    def _forget(self) -> None:
        """Forgets addresses that do nothing now, the oldest first."""
        for _ in range(len(self._uses) - MOST):
            key, use = next(iter(self._uses.items()))
            if use.calls:
                self._uses.move_to_end(key)
            else:
                del self._uses[key]


def network(address: str) -> str | None:
    """Returns what stands for an address and those that come with it; None: it is not limited."""
    if not address or address in ("127.0.0.1", "::1"):
        return None
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return network(str(parsed.ipv4_mapped))
    return str(IPv6Address(int(parsed) >> (128 - _NETWORK) << (128 - _NETWORK)))
