"""A parser of command lines that says what may have been meant."""

import argparse
import re
from collections.abc import Iterator
from typing import NoReturn

from fedau2.similar import did_you_mean

_UNKNOWN = re.compile(r"unrecognized arguments: (?P<option>--[\w.-]+)")
_CHOICE = re.compile(r"invalid choice: '(?P<name>[^']*)'")


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors name the option, command or choice that is most like an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the message, and exits with status 2."""
        if unknown := _UNKNOWN.match(message):
            message += did_you_mean(unknown["option"], self._options())
        elif wrong := _CHOICE.search(message):
            known = [choice for action in self._actions for choice in action.choices or ()]
            message += did_you_mean(wrong["name"], map(str, known))
        super().error(message)

    def _options(self) -> Iterator[str]:
        """Yields all options of this command and of those below it."""
        for action in self._actions:
            yield from (option for option in action.option_strings if action.help != argparse.SUPPRESS)
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser._options()
