"""A parser of command lines that says what may have been meant."""

import argparse
import re
from collections.abc import Iterator, Sequence
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

    def below(self) -> dict[str, "Parser"]:
        """Returns the commands below this one, by name."""
        groups = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return {name: parser for group in groups for name, parser in group.items()}

    def add_switch(self, *names: str, text: str) -> None:
        """Adds an option without a value, which may stand behind any command below this one as well.

        Args:
            names: of the option.
            text: its help.
        """
        self.add_argument(*names, action="store_true", help=text)
        self._add_below(names, text)

    def _add_below(self, names: Sequence[str], text: str) -> None:
        for parser in self.below().values():
            # Without a default, since it would replace what a command above has read.
            parser.add_argument(*names, action="store_true", default=argparse.SUPPRESS, help=text)
            parser._add_below(names, text)

    def _options(self) -> Iterator[str]:
        """Yields all options of this command and of those below it."""
        for action in self._actions:
            yield from (option for option in action.option_strings if action.help != argparse.SUPPRESS)
        for parser in self.below().values():
            yield from parser._options()
