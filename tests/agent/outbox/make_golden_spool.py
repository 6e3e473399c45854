"""Writes the golden spool of today's code: ``python tests/agent/outbox/make_golden_spool.py``; once for each format.

A data folder as an agent leaves it when its power is cut: three lanes, an unfinished session, one segment with a torn end, a
cursor half way. Never written again once it is committed: what an older agent left must stay readable.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.clock import Clock
from agent.mint import Mint
from agent.outbox import Identity, Outbox
from agent.outbox.disk import write_atomically
from agent.outbox.folders import all_spools
from agent.records import AgentEvent, Gap, Heartbeat, Severity, SpoolHealth

FOLDER = Path(__file__).parents[2] / "data" / "golden" / "spool-v1"
INSTRUMENT_ID = "ins-golden"
N_EVENTS = 40


def golden_identity(data_dir: Path) -> Identity:
    """Return the identity that wrote it, in a data folder; its key is no secret, and so no file."""
    key = Ed25519PrivateKey.from_private_bytes(b"the golden spool of scopestamp 1")
    data_dir.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(data_dir / "agent.key", pem, mode=0o600)
    return Identity.load_or_create(data_dir, INSTRUMENT_ID)


def main(folder: Path) -> None:
    """Write it."""
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = Path(scratch)
        clock = Clock()
        identity = golden_identity(data_dir)
        mint = Mint(INSTRUMENT_ID, identity.agent_id, clock)
        outbox = Outbox.open(data_dir, clock=clock, free_space=lambda: 100 << 30)
        for number in range(N_EVENTS):
            outbox.put(
                mint.make(
                    AgentEvent,
                    severity=Severity.INFO,
                    event="golden",
                    message=f"Number {number}: µm, 20 °C",
                    details={"n": number},
                )
            )
        outbox.put(mint.make(Gap, cause="queue_overflow", lane="events", n_records=3))
        health = SpoolHealth(n_waiting=41, bytes_on_disk=1)
        outbox.put(mint.make(Heartbeat, uptime_s=1, spool=health, hardware="none"))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(data_dir / "spool", folder / "spool", ignore=shutil.ignore_patterns("*.lock"))
        outbox.close()
    (events,) = [spool for spool in all_spools(folder) if spool.lane == "events"]
    last = events.segments()[-1][1]
    last.write_bytes(last.read_bytes() + last.read_bytes()[-40:-20])  # an append that the power cut tore


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
