"""Serves a page in which the browser is a device, with a coordinator for it. `make demo-browser` runs it."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from scripts.browser.coordinator import POPULATION, web_coordinator

SITE = Path(__file__).parents[2] / "typescript/build/site"
PLAN = {"model": {"gmf": 8, "mlp": 16, "hidden": [16, 8]}}


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m scripts.browser", description=__doc__)
    parser.add_argument("--port", type=int, default=8642, help="port of the page (default: 8642; 0: any)")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, demo(Path(folder), options.port) as address:
        print(f"Ctrl-C ends it. The page is at {address}/index.html", flush=True)
        try:
            Event().wait()
        except KeyboardInterrupt:
            print()


@contextmanager
def demo(folder: Path, port: int = 0) -> Iterator[str]:
    """Makes a bundle of the demo's films in a folder, and serves it and the page. Yields the page's address.

    Raises:
        FileNotFoundError: the page is not built: `npm run demo` in `typescript` builds it.
    """
    films = [film["id"] for film in json.loads((SITE / "films.json").read_text("utf-8"))]
    bundle = _bundle(films, folder)
    with ThreadingHTTPServer(("127.0.0.1", port), SimpleHTTPRequestHandler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        with web_coordinator(bundle, origin=address) as coordinator:
            config = json.dumps({"coordinator": coordinator.web, "population": POPULATION}).encode()
            server.RequestHandlerClass = partial(Handler, config=config)
            thread = Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield address
            server.shutdown()


def _bundle(items: list[str], folder: Path) -> Path:
    plan, listed, bundle = folder / "plan.json", folder / "items.txt", folder / "bundle"
    plan.write_text(json.dumps(PLAN))  # JSON is YAML
    listed.write_text("".join(f"{item}\n" for item in items), "utf-8")
    parts = ("--model=fedncf", f"--items={listed}", f"--plan={plan}", "--seed=1", f"--out={bundle}")
    subprocess.run([sys.executable, "-m", "export", "bundle", *parts], check=True, stdout=subprocess.DEVNULL)
    return bundle


class Handler(SimpleHTTPRequestHandler):
    """Serves the folder of the page, and `config.json`, which says where the coordinator is."""

    def __init__(self, *arguments: object, config: bytes) -> None:
        self._config = config
        super().__init__(*arguments, directory=str(SITE))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answers one request."""
        if self.path != "/config.json":
            return super().do_GET()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self._config)))
        self.end_headers()
        self.wfile.write(self._config)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


if __name__ == "__main__":
    main()
