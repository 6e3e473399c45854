"""Commands of many sites: let a collector below in, join the one above, see how both fare."""

from __future__ import annotations

import base64
import getpass
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from server.access.secrets import new_join_code
from server.clock import utc_now
from server.collector import Collector
from server.errors import SettingsError
from server.forwarding.client import Upstream
from server.forwarding.downstream import code_job, downstreams, revoke_job
from server.forwarding.forwarder import check_no_loop, keep_state, state_of
from server.forwarding.identity import collector_id_of, keys_in
from server.forwarding.protocol import JoinRequest
from server.ingest.evidence import raw_line
from server.options import DEFAULT_DATA, AsJson, Config, Data, collector_on, say

downstream = typer.Typer(help="Collectors that forward to this one.", no_args_is_help=True)
upstream = typer.Typer(help="The collector that this one forwards to.", no_args_is_help=True)


@downstream.command("add")
def add_downstream(
    name: Annotated[str, typer.Argument(help="What its instruments' sites begin with, such as Basel.")],
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 30, help="How long the code is good.")] = 24,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a join code with which one collector may forward to this one."""
    code = new_join_code()
    with collector_on(data, config) as collector:
        collector.writer.do(code_job(code, name, "command line", utc_now(), hours))
        collector.note("command line", f"downstream add {name}")
    say(as_json, {"join_code": code, "name": name}, f"{code}\nGood once, for {hours:g} hours, for {name}.")


@downstream.command("list")
def list_downstreams(data: Data = DEFAULT_DATA, config: Config = None, as_json: AsJson = False) -> None:
    """Show the collectors below, and how far each has come."""
    with collector_on(data, config) as collector, collector.store.reading() as reads:
        for one, log in downstreams(reads):
            heard = f"{log.heard_at:%Y-%m-%d %H:%M} UTC" if log.heard_at else "never"
            told = (
                f"{one.name}  {one.agent_id}  {log.acked} batches, last {heard}, {log.n_not_taken} not taken"
            )
            say(
                as_json,
                {**one.model_dump(mode="json"), "log": log.model_dump(mode="json")},
                told + (", revoked" if one.revoked_at else ""),
            )


@downstream.command("revoke")
def revoke_downstream(
    agent_id: Annotated[str, typer.Argument(help="As `downstream list` shows it.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take nothing more from a collector; what it sent stays."""
    with collector_on(data, config) as collector:
        if not collector.writer.do(revoke_job(agent_id, utc_now(), "command line")):
            raise SettingsError(f"There is no collector {agent_id}; `downstream list` shows who there is.")
        collector.note("command line", f"downstream revoke {agent_id}")
    say(as_json, {"revoked": agent_id}, f"{agent_id} may no longer forward here.")


@upstream.command("join")
def join_upstream(data: Data = DEFAULT_DATA, config: Config = None, as_json: AsJson = False) -> None:
    """Enrol at the collector above, whose url the settings name under upstream. The join code is asked for, or read from stdin."""
    with collector_on(data, config) as collector, closing(_upstream(collector, data)) as above:
        keys = keys_in(data)
        code = getpass.getpass("Join code: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
        own_id = collector_id_of(collector)
        request = JoinRequest(
            join_code=code,
            public_key=base64.b64encode(keys.key.public_key().public_bytes_raw()).decode(),
            collector_id=own_id,
            name=collector.settings.collector.name,
            version=version("scopestamp"),
        )
        standing = above.join(request)
        check_no_loop(standing, own_id)
        url, now = collector.settings.upstream.url, utc_now()
        with collector.store.reading() as reads:
            state = state_of(reads, url)
        known = {"collector_id": standing.collector_id, "name": standing.name, "above": standing.above}
        joined = state.model_copy(update=known)
        collector.writer.do(lambda writes: keep_state(writes, url, joined, now))
        collector.note("command line", f"upstream join {url}")
    say(
        as_json,
        {"upstream": standing.name, "url": url},
        f"Joined {standing.name}; restart this collector to forward.",
    )


@upstream.command("status")
def upstream_status(data: Data = DEFAULT_DATA, config: Config = None, as_json: AsJson = False) -> None:
    """Show how forwarding fares."""
    with collector_on(data, config) as collector, collector.store.reading() as reads:
        url = collector.settings.upstream.url
        if not url:
            raise SettingsError("No [upstream] url is set; this collector forwards to nobody.")
        state = state_of(reads, url)
        n_waiting = _n_batches(reads) - state.acked
    told = f"{state.name or url}: {state.acked} batches durable there, {n_waiting} wait, {state.n_not_taken} not taken"
    lines = [told, state.last_error, state.last_not_taken]
    say(as_json, {**state.model_dump(mode="json"), "n_waiting": n_waiting}, "\n".join(filter(None, lines)))


@upstream.command("original")
def original(
    record_id: Annotated[str, typer.Argument(help="Record whose filtered form was seen above.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
) -> None:
    """Print a record's line as this site received it; its SHA-256 is what the filtered record carries."""
    with collector_on(data, config) as collector, collector.store.reading() as reads:
        row = reads.record(record_id)
        if row is None:
            raise SettingsError(f"There is no record {record_id} here.")
        sys.stdout.write(raw_line(reads, row).decode())


def _n_batches(reads: Any) -> int:
    """Return how many batches there are: they are numbered without gaps."""
    low, high = 0, 1
    while reads.batch(high) is not None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reads.batch(middle) is not None else (low, middle)
    return low


def _upstream(collector: Collector, data: Path) -> Upstream:
    settings = collector.settings
    if not settings.upstream.url:
        raise SettingsError("Set [upstream] url in the collector's settings first.")
    return Upstream(settings.upstream, settings.outgoing, keys_in(data))
