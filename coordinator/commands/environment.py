"""Variables that hold settings, and those of the same prefix that Kubernetes and Docker make for every container."""

import re
from collections.abc import Mapping

PREFIX = "FEDAU2_COORDINATOR_"
"""Prefix of environment variables; the rest is the setting's name in capitals."""

_INJECTED = re.compile(
    r"""(\w+_)?(
    SERVICE_HOST=.* | SERVICE_PORT(_\w+)?=\d+ |
    PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.* | PORT_\d+_(TCP|UDP|SCTP)_(ADDR|PORT|PROTO|START|END)=.* |
    NAME=/.* | ENV_\w+=.*
    )""",
    re.VERBOSE | re.DOTALL,
)
"""Variables for a service, or a linked container, of the program's name, without the prefix and with their values."""


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the values of settings, by their variables. Variables that an orchestrator has injected are passed over.

    A variable that is neither is returned too. It may be a setting that was misspelt.
    """
    return {
        variable: value
        for variable, value in environment.items()
        if variable.startswith(PREFIX) and not _INJECTED.fullmatch(f"{variable.removeprefix(PREFIX)}={value}")
    }
