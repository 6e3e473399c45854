"""The disk of the agent: full, read-only, slow, torn, rotten, and shared."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from bench import BenchAgent, Collector
from outcome import Outcome

from agent.errors import ScopestampError, SpoolError
from agent.outbox import disk, spool
from agent.outbox.folders import all_spools
from agent.outbox.frames import MAGIC

_SLOW_S = 0.1
Trial = Callable[[BenchAgent, random.Random, Outcome], None]


def _tried(name: str, trial: Trial, collector: Collector, folder: Path, n_trials: int) -> Outcome:
    outcome, chance = Outcome(name, n_trials), random.Random(name)
    for number in range(n_trials):
        agent = BenchAgent(folder / str(number), collector.url)
        collector.let_in(agent.identity)
        trial(agent, chance, outcome)
        began = time.monotonic()
        agent.sender.drain_once()
        outcome.recovery_s.append(time.monotonic() - began)
        outcome.expect(agent.sender.status().n_waiting == 0, "something still waits")
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        agent.close()
    return outcome


def _slow(agent: BenchAgent, chance: random.Random, outcome: Outcome) -> None:
    def slowly(descriptor: int) -> None:
        threading.Event().wait(_SLOW_S)
        disk.sync_file(descriptor)

    with mock.patch.object(spool, "sync_file", slowly), agent.sending():
        for _ in range(5):
            agent.put(chance.randrange(1, 100))


def _torn(agent: BenchAgent, chance: random.Random, outcome: Outcome) -> None:
    """Leave half a frame behind the last record of a writer that died: an append the power cut."""
    other = BenchAgent(agent.data_dir, agent.url)
    other.put(chance.randrange(2, 200))
    (spool_id,) = other.outbox.spool_ids().values()
    (segment,) = (one.segments()[-1][1] for one in all_spools(agent.data_dir) if one.spool_id == spool_id)
    with segment.open("ab") as file:
        file.write(MAGIC + chance.randbytes(chance.randrange(1, 300)))
    agent.promised |= other.promised
    other.close()


def _bit_flip(agent: BenchAgent, chance: random.Random, outcome: Outcome) -> None:
    """Turn one bit of a spool over."""
    other = BenchAgent(agent.data_dir, agent.url)
    for _ in range(20):
        other.put(chance.randrange(1, 20))
    (spool_id,) = other.outbox.spool_ids().values()
    (segment,) = (one.segments()[-1][1] for one in all_spools(agent.data_dir) if one.spool_id == spool_id)
    data = bytearray(segment.read_bytes())
    at = chance.randrange(len(data) * 8)
    data[at // 8] ^= 1 << at % 8
    segment.write_bytes(data)
    agent.promised |= other.promised
    other.close()


def _two_agents(agent: BenchAgent, chance: random.Random, outcome: Outcome) -> None:
    """Let two agents record and send from one data folder at once."""
    second = BenchAgent(agent.data_dir, agent.url)
    with agent.sending(), second.sending():
        for _ in range(20):
            agent.put(chance.randrange(1, 30))
            second.put(chance.randrange(1, 30))
    agent.promised |= second.promised
    second.close()


def _on_volume(
    name: str, spoil: Callable[..., None], collector: Collector, folder: Path, n_trials: int
) -> Outcome:
    """Try on a small file system of its own; counts no trial where there can be none."""
    outcome, chance = Outcome(name), random.Random(name)
    if sys.platform != "linux" or os.geteuid() != 0:
        return outcome
    for number in range(n_trials):
        place = folder / str(number)
        place.mkdir()
        with _small_volume(place) as root:
            outcome.trials += 1
            agent = BenchAgent(root / f"v{number}-{name[-4:]}", collector.url)
            collector.let_in(agent.identity)
            agent.put(chance.randrange(1, 300))
            spoil(agent, root, chance, outcome)
            with agent.sending():
                outcome.recovery_s.append(agent.wait_until_sent())
            outcome.compare(agent.promised, collector, agent.identity.agent_id)
            agent.close()
    return outcome


def _full(agent: BenchAgent, root: Path, chance: random.Random, outcome: Outcome) -> None:
    with (root / "filler").open("ab", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while filler.write(b"f" * size) == size:
                    pass
            except OSError:
                continue
    n_refused = _until_refused(agent, chance)
    outcome.expect(n_refused == 1, "the full disk was not noticed")
    agent.sender.drain_once()  # reading, sending and deleting need no space
    (root / "filler").unlink()
    agent.put(10)


def _read_only(agent: BenchAgent, root: Path, chance: random.Random, outcome: Outcome) -> None:
    """Mount it anew without the right to write, as a system does that has met errors on a disk."""
    agent.outbox.close()
    _run("mount", "-o", "remount,ro", str(root))
    try:
        outcome.expect(
            _refuses(lambda: BenchAgent(agent.data_dir, agent.url)), "a read-only disk took a session"
        )
        agent.sender.drain_once()  # what is there is sent all the same
    except SpoolError:
        pass
    finally:
        _run("mount", "-o", "remount,rw", str(root))
    again = BenchAgent(agent.data_dir, agent.url)
    again.put(10)
    agent.promised |= again.promised
    again.close()


def _refuses(work: Callable[[], object]) -> bool:
    try:
        work()
    except ScopestampError:
        return True
    return False


def _until_refused(agent: BenchAgent, chance: random.Random) -> int:
    for _ in range(100_000):
        try:
            agent.put(chance.randrange(20, 200))
        except SpoolError:
            return 1
    return 0


@contextmanager
def _small_volume(folder: Path) -> Iterator[Path]:
    image, root = folder / "disk.img", folder / "mounted"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(root))
    try:
        yield root
    finally:
        _run("umount", "-l", str(root))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


FAULTS = {
    "disk-full": partial(_on_volume, "disk: full to the last block", _full),
    "disk-read-only": partial(_on_volume, "disk: read-only for a while", _read_only),
    "disk-slow": partial(_tried, "disk: 100 ms a sync", _slow),
    "disk-torn": partial(_tried, "disk: torn last write", _torn),
    "disk-bit-flip": partial(_tried, "disk: a bit turned over", _bit_flip),
    "disk-two-agents": partial(_tried, "disk: two agents on one spool", _two_agents),
}
