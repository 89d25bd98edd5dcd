"""The code blocks of the pages, and a runner that runs those of a page one after the other, as a reader would."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDES = sorted(
    [*ROOT.glob("*.md"), *(path for name in ("deploy", "docs", "examples") for path in ROOT.glob(f"{name}/**/*.md"))]
)
RUN = {"python", "sh"}
OTHER = {"", "text", "ts", "yaml"}
SERVE = "fedau2-coordinator serve"
DEVICES = "127.0.0.1:8643"
SECONDS = 300

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.*?) -->\n+)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
_COMMAND = re.compile(r"(?:fedau2-\w+|make|python (?!-))")


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why no test runs it, in an HTML comment on the line above it."""

    guide: Path
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def runs(self):
        return self.language in RUN and self.reason is None

    @cached_property
    def commands(self):
        """The words of each command of a shell block that has no variables, loops and functions."""
        text = self.code.replace("\\\n", " ")
        parts = [part.strip() for line in text.splitlines() for part in re.split(r"&&|\|", line)]
        return [shlex.split(part, comments=True) for part in parts if _COMMAND.match(part) and "$" not in part]


def blocks(guide):
    text = guide.read_text("utf-8")
    return [
        Block(guide, text.count("\n", 0, match.start("code")), match["language"], match["code"], match["reason"])
        for match in _BLOCK.finditer(text)
    ]


class Walk:
    """Runs blocks in a folder. Shell commands are those of this checkout; a coordinator serves until the end."""

    def __init__(self, folder):
        self.folder = folder
        self.names = {}
        self.addresses = {}
        self.server = None
        (folder / "bin").mkdir()
        (folder / "examples").symlink_to(ROOT / "examples")
        for command, module in {"sim": "simulator", "export": "export", "coordinator": "coordinator"}.items():
            self._command(f"fedau2-{command}", f'"{sys.executable}" -m {module} "$@"')
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
            "FEDAU2_COORDINATOR_LISTEN": "127.0.0.1:0",
            "FEDAU2_COORDINATOR_ADMIN": "127.0.0.1:0",
        }

    def run(self, block):
        if block.language == "python":
            code = block.code.replace(DEVICES, self.addresses.get("devices", DEVICES))
            exec(compile("\n" * block.line + code, block.guide, "exec"), self.names)
        else:
            self._shell(block.code)

    def tests(self):
        """The tests that the blocks define."""
        return [value for name, value in self.names.items() if name.startswith("test_")]

    def end(self):
        if "server" in self.names:
            self.names["server"].stop()
        if self.server:
            self.server.terminate()
            self.server.communicate(timeout=SECONDS)

    def _command(self, name, code):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\nexec {code}\n")
        path.chmod(0o755)

    def _shell(self, code):
        before, serve, after = code.partition(SERVE)
        done = subprocess.run(
            ["sh", "-eu", "-c", before], cwd=self.folder, env=self.environment, timeout=SECONDS, capture_output=True
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        if serve:
            assert "\n" not in after.strip(), "a coordinator serves until the end: nothing can come after it in a block"
            self._serve(shlex.split(serve + after, comments=True))

    def _serve(self, command):
        program = self.folder / "bin" / command[0]
        self.server = subprocess.Popen(
            [program, *command[1:]], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        for line in self.server.stdout:
            if serving := re.match(r"serving (devices|admin) on (\S+)", line):
                self.addresses[serving[1]] = serving[2]
            if {"devices", "admin"} <= {*self.addresses}:
                break
        self._command(command[0], f'"{sys.executable}" -m coordinator "$@" --admin {self.addresses["admin"]}')
