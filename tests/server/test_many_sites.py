"""Three collectors in processes of their own: site, national, global. The middle one is killed, and nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from server.cli import app
from server.store import SqliteStore

WAIT_S = 300.0
USER, SAMPLE = b"rosalind-franklin", b"photo-fifty-one"


class Process:
    """A collector that runs, or is dead."""

    def __init__(self, data: Path, upstream: str = "", **policy: object) -> None:
        self.data = data
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        data.mkdir()
        told = "\n".join(f"{key} = {json.dumps(value)}" for key, value in policy.items())
        config = f'[collector]\nname = "{data.name}"\n[upstream]\nurl = "{upstream}"\n{told}\n'
        (data / "server.toml").write_text(config, encoding="utf-8")

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "server",
            "run",
            "--json",
            "--port",
            str(self.port),
            "--data",
            str(self.data),
        ]
        with (self.data / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        ready = self._process.stdout.readline()
        assert ready, (self.data / "log").read_text(encoding="utf-8")
        self.url = json.loads(ready)["url"]
        self.port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._end()

    def _end(self) -> None:
        self._process.wait(timeout=WAIT_S)
        self._process.stdout.close()
        self._process = None

    def command(self, *words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [*words, "--json", "--data", str(self.data)], input=given)

    def said(self, *words: str, given: str | None = None) -> dict[str, object]:
        done = self.command(*words, given=given)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    def record_ids(self) -> list[str]:
        with closing(SqliteStore(self.data, does_checkpoint=False)) as store, store.reading() as reads:
            return [row.record_id for row in reads.records(limit=100_000)]

    def everything(self) -> bytes:
        """Return the bytes of its store, with every batch expanded."""
        from server.store.chains import lines_of

        with closing(SqliteStore(self.data, does_checkpoint=False)) as store, store.reading() as reads:
            told = [b"\n".join(lines_of(batch)) for batch in reads.batches(0, 100_000)]
        return b"".join([*told, *(file.read_bytes() for file in self.data.glob("collector.sqlite*"))])


def until(is_it: Callable[[], bool], what: str) -> None:
    """Look again and again, for as long as a loaded machine may need."""
    never = threading.Event()
    for _ in range(int(WAIT_S / 0.1)):
        if is_it():
            return
        never.wait(0.1)
    pytest.fail(f"It never came: {what}.")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process, Process]]:
    folder = tmp_path_factory.mktemp("sites")
    top = Process(folder / "Global")
    top.start()
    middle = Process(folder / "Switzerland", top.url, withhold_people=False, withhold_samples=False)
    _join(middle, top)
    middle.start()
    site = Process(folder / "Basel", middle.url)
    _join(site, middle)
    site.start()
    yield site, middle, top
    for one in (site, middle, top):
        one.stop()


def _join(below: Process, above: Process) -> None:
    code = above.said("downstream", "add", below.data.name)["join_code"]
    below.said("upstream", "join", given=f"{code}\n")


def _records(tools, scope, n: int) -> list[bytes]:
    """Return heartbeats, and now and then an event that names a person and a sample."""
    made = []
    for i in range(n):
        scope.later(60)
        named = scope.event(f"{USER.decode()} lost {SAMPLE.decode()}") if i % 10 == 3 else scope.heartbeat()
        made.append(named)
    return tools.to_lines(made)


def test_site_to_national_to_global_with_the_middle_killed(sites, tools):
    site, middle, top = sites
    code = site.said("join-code", "new", "--instrument", "Scope", "--site", "Building 4")["join_code"]
    with httpx.Client(base_url=site.url, timeout=WAIT_S) as client:
        sender = tools.Sender(client)
        assert sender.enrol(code).status_code == 200
        scope, chain, sent = tools.Scope(sender), "0" * 64, 0

        def send(n: int) -> None:
            nonlocal chain, sent
            lines = _records(tools, scope, n)
            assert sender.send(lines, first_seq=sent + 1, prev=chain).status_code == 200
            chain, sent = tools.chain_over(lines, chain), sent + n

        for n in (1, 2, 15):
            send(n)
        until(lambda: len(top.record_ids()) > 0, "anything at the top")
        middle.kill()
        for n in (3, 20, 40):  # the site works on
            send(n)
        middle.start()
        send(5)
    expected = site.record_ids()
    assert len(expected) == sent
    until(lambda: len(top.record_ids()) >= sent, "all records at the top")
    assert sorted(top.record_ids()) == sorted(expected)  # none lost, none twice
    assert middle.said("upstream", "status")["n_not_taken"] == 0
    for one in sites:
        assert one.said("verify")["problems"] == []
    assert USER in site.everything() and SAMPLE in site.everything()
    for name in (USER, SAMPLE):
        assert name not in top.everything()
        assert name not in middle.everything()
    with closing(SqliteStore(top.data, does_checkpoint=False)) as store, store.reading() as reads:
        assert [one.site for one in reads.instruments()] == ["Switzerland / Basel / Building 4"]


def test_ring_of_three_is_refused_as_it_is_configured(sites):
    site, middle, top = sites
    until(lambda: len(middle.said("upstream", "status")["above"]) == 1, "the middle knows the top")
    config = top.data / "server.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace('url = ""', f'url = "{site.url}"'), encoding="utf-8"
    )
    code = site.said("downstream", "add", "Global")["join_code"]
    refused = top.command("upstream", "join", given=f"{code}\n")
    assert "come back" in str(refused.exception)
