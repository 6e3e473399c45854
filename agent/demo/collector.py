"""A collector in a process of its own, as the demo wants it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from agent.errors import CollectorError

_COMMAND_S = 60.0
_ASK_S = 30.0


class LocalCollector:
    """Runs ``scopestamp-server`` on a free loopback port; a context manager."""

    def __init__(self, folder: Path, log_file: Path) -> None:
        self._folder = folder
        self._log_file = log_file
        self.url = ""

    def __enter__(self) -> LocalCollector:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = self._log_file.open("ab")
        self._process = subprocess.Popen(
            self._command("run", "--port", "0"),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # Ctrl-C is for us: the collector ends last, when the agent has sent what it had.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__(None, None, None)
            raise CollectorError(f"The collector did not start; its last words are in {self._log_file}.")
        self.url = json.loads(line)["url"]
        token = self._ask("token", "new", "demo", "--role", "viewer")["token"]
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_ASK_S,
            trust_env=False,  # a proxy has no business on the loopback
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if client := getattr(self, "_client", None):
            client.close()
        self._process.terminate()
        try:
            self._process.wait(_COMMAND_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    def join_code(self, instrument: str) -> str:
        """Return a new join code."""
        return str(self._ask("join-code", "new", "--instrument", instrument, "--site", "demo")["join_code"])

    def sign_in_link(self) -> str:
        """Return a link that signs a person in, once."""
        return str(self._ask("sign-in-link")["url"])

    def get(self, path: str, **params: Any) -> Any:
        """Return the answer of the query API.

        Raises
        ------
        CollectorError
            It did not answer, or said no.
        """
        try:
            response = self._client.get(path, params=params)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise CollectorError(f"The collector did not answer {path}: {error}") from error
        return response.json()

    def _ask(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, timeout=_COMMAND_S)
        if done.returncode:
            raise CollectorError(f"scopestamp-server {' '.join(arguments)} failed: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "server", *arguments, "--data", str(self._folder), "--json"]
