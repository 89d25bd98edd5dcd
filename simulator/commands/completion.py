"""`fedau2-sim completion`: what a shell needs to complete commands and options."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


_BASH = """\
_fedau2_sim() {
  COMPREPLY=($(compgen -W "$(fedau2-sim completion words -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "$2"))
}
complete -o default -F _fedau2_sim fedau2-sim
"""

_SCRIPTS = {"bash": _BASH, "zsh": f"autoload -U +X bashcompinit && bashcompinit\n{_BASH}"}


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("shell", choices=[*_SCRIPTS, "words"], help='eval "$(fedau2-sim completion bash)" in a profile')
    parser.add_argument("line", nargs="*", metavar="WORD", help="with words: the line so far")
    parser.set_defaults(command=_completion)


def _completion(options: argparse.Namespace, console: "Console") -> None:
    if options.shell == "words":
        print(*_words(options.line), sep="\n")
    else:
        print(_SCRIPTS[options.shell], end="")


def _words(line: list[str]) -> list[str]:
    """Lists what may come next: commands, then the options of the command, or the choices of the option before."""
    from simulator.commands.cli import COMMANDS, parser_of

    if not line:
        return list(COMMANDS)
    if line[0] not in COMMANDS:
        return []
    command = parser_of(line[0])
    for action in command._actions:
        if line[-1] in action.option_strings and action.choices:
            return list(map(str, action.choices))
    visible = (action for action in command._actions if action.help != argparse.SUPPRESS)
    words = [word for action in visible for word in action.option_strings if word.startswith("--")]
    named = [choice for action in command._actions if not action.option_strings for choice in action.choices or ()]
    return [*map(str, named), *words]
