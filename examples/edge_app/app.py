"""A movie app for the terminal: it learns what you like on this device, and unlearns your gender.

`python examples/edge_app/app.py` starts a coordinator of its own on this machine. With `--coordinator HOST:PORT` the
app uses one that runs already.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from client_sdk import FedClient, FedError, Result, Unmasker
from client_sdk.testing import LocalCoordinator

HELP = """\
  list          all movies
  watched N     you have watched movie N
  gender F|M    stays on this device; from now on the app unlearns it
  gender        forget it
  train         take part in one round of training
  suggest       what to watch next
  quit"""


class App:
    """The app's commands; each returns what to print.

    Args:
        client: open.
        movies: title by item id.
    """

    def __init__(self, client: FedClient, movies: Mapping[str, str]) -> None:
        self._client = client
        self._movies = movies

    def answer(self, line: str) -> str:
        """Carries out one line of input."""
        name, _, argument = line.strip().partition(" ")
        commands: dict[str, Callable[[str], str]] = {
            "list": self._list,
            "watched": self._watched,
            "gender": self._gender,
            "train": self._train,
            "suggest": self._suggest,
        }
        if name not in commands:
            return HELP
        try:
            return commands[name](argument.strip())
        except FedError as error:  # every error of the SDK is one of these, and says what to do
            return f"  sorry: {error}"

    def _list(self, _: str) -> str:
        return "\n".join(f"{item:>4}  {title}" for item, title in self._movies.items())

    def _watched(self, item: str) -> str:
        if item not in self._movies:
            return f"  sorry: there is no movie {item!r}"
        self._client.record(item)
        return f"  noted: {self._movies[item]}"

    def _gender(self, value: str) -> str:
        self._client.set_attribute("gender", value or None)
        return "  kept on this device, to be unlearned" if value else "  forgotten"

    def _train(self, _: str) -> str:
        outcome = self._client.sync()
        if outcome.result is Result.UPLOADED:
            return "  trained, and uploaded one contribution"
        return f"  not this time ({outcome.reason})"

    def _suggest(self, _: str) -> str:
        return "\n".join(f"  {self._movies[each.item]}" for each in self._client.recommend(k=5))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the app until its input ends. Returns 1, after one line on standard error, if it cannot start."""
    parser = argparse.ArgumentParser(description="A movie app that learns on this device.")
    parser.add_argument("--state", type=Path, default=Path("edge-app-state"), help="the app's folder (%(default)s)")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="a coordinator that runs already")
    parser.add_argument("--population", default="movies", help="its population (%(default)s)")
    parser.add_argument(
        "--unmasker",
        nargs=2,
        metavar=("HOST:PORT", "FILE"),
        help="an unmasker that takes no evidence, and its public key, for tasks with secure sums",
    )
    arguments = parser.parse_args(argv)
    titles = (Path(__file__).parent / "movies.txt").read_text("utf-8").splitlines()
    movies = {str(number): title for number, title in enumerate(titles, 1)}
    with ExitStack() as stack:
        try:
            client = stack.enter_context(_open(arguments, list(movies), stack))
        except (FedError, OSError) as error:
            print(f"edge_app: {error}", file=sys.stderr)
            return 1
        print(f"Good evening. What have you watched?\n{HELP}")
        run(App(client, movies))
    return 0


def _open(arguments: argparse.Namespace, items: Sequence[str], stack: ExitStack) -> FedClient:
    address, population = arguments.coordinator, arguments.population
    if address is None:
        print("Starting a coordinator on this machine ...", flush=True)
        server = stack.enter_context(LocalCoordinator(items, attribute="gender"))
        address, population = server.address, server.population
    if arguments.unmasker is None:
        return FedClient.open(arguments.state, address, population)
    unmasker = Unmasker(arguments.unmasker[0], Path(arguments.unmasker[1]).read_bytes())
    return FedClient.open(arguments.state, address, population, unmaskers=[unmasker], enrolment=("open", b""))


def run(app: App) -> None:
    """Answers line by line until `quit` or the end of the input."""
    while True:
        try:
            line = input("> ")
        except EOFError:
            return
        if line.strip() == "quit":
            return
        print(app.answer(line))


if __name__ == "__main__":
    sys.exit(main())
