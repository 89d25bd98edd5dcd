"""Makes the rules of an unmasker of the options of `serve`."""

import argparse
import math

from fedau2.v1.unmasker_pb2 import Budget
from unmasker.engine.terms import MOST_DAYS
from unmasker.engine.unmasker import Rules
from unmasker.errors import SettingError
from unmasker.evidence.anybody import Anybody
from unmasker.evidence.invitations import Invitations
from unmasker.evidence.provider import Provider

_OF_TOKENS = ("jwks", "issuer", "audience")


def rules(args: argparse.Namespace) -> Rules:
    """Returns the rules.

    Raises:
        SettingError: an option is missing, or out of its bounds.
        KeySetError: the identity provider's keys cannot be used.
    """
    given = [name for name in _OF_TOKENS if getattr(args, name)]
    if ("token" in args.accept) != bool(given) or len(given) not in (0, len(_OF_TOKENS)):
        raise SettingError("--accept token goes together with --jwks, --issuer and --audience: give all or none")
    if not 1 <= args.days <= MOST_DAYS or not 1 <= args.key_days <= 60:
        raise SettingError(f"--days is from 1 to {MOST_DAYS}, and --key-days from 1 to 60")
    providers = tuple(_provider(name, args) for name in dict.fromkeys(args.accept))
    return Rules(providers, args.days, args.key_days, _budget(args))


def _budget(args: argparse.Namespace) -> Budget:
    epsilon, delta = args.budget_epsilon, args.budget_delta
    if epsilon is None and delta is None:
        return Budget()
    if epsilon is None or delta is None or not 0 < epsilon < math.inf or not 0 < delta < 1:
        raise SettingError("--budget-epsilon is above 0 and --budget-delta between 0 and 1: give both or neither")
    return Budget(epsilon=epsilon, delta=delta)


def _provider(name: str, args: argparse.Namespace) -> Provider:
    if name == "open":
        return Anybody()
    if name == "invitation":
        return Invitations()
    from unmasker.evidence.tokens import Tokens  # here, because it alone needs PyJWT

    return Tokens(args.jwks, args.issuer, args.audience)
