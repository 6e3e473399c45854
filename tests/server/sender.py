"""An agent for tests: signs with `cryptography`, speaks the wire by hand, makes records of a believable microscope."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import records as r
from agent.records import wire

START_AT = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


class Sender:
    """One agent with one key, sending to one collector."""

    def __init__(self, client: httpx.Client, instrument_id: str = "scope-1") -> None:
        self.client = client
        self.instrument_id = instrument_id
        self.key = Ed25519PrivateKey.generate()
        self.public_key = self.key.public_key().public_bytes_raw()
        self.agent_id = wire.agent_id_of(self.public_key)

    def signed(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> dict[str, str]:
        headers = {
            wire.AGENT_HEADER: self.agent_id,
            wire.TIME_HEADER: datetime.now(UTC).isoformat(),
            **headers,
        }
        signature = self.key.sign(wire.signing_bytes(method, path, headers, body))
        return {**headers, wire.SIGNATURE_HEADER: base64.b64encode(signature).decode()}

    def enrol(self, code: str, **different: str) -> httpx.Response:
        request = wire.EnrolRequest(
            **{
                "join_code": code,
                "public_key": base64.b64encode(self.public_key).decode(),
                "instrument_id": self.instrument_id,
                "instrument_name": "Microscope",
                "hostname": "scope-pc",
                "platform": "Windows 11",
                "version": "0.1.0",
                **different,
            }
        )
        body = request.model_dump_json().encode()
        headers = self.signed("POST", wire.ENROL_PATH, {}, body)
        return self.client.post(wire.ENROL_PATH, content=body, headers=headers)

    def rotate(self) -> httpx.Response:
        """Ask for another key, and sign with it when it is given."""
        new = Ed25519PrivateKey.generate()
        public_key = base64.b64encode(new.public_key().public_bytes_raw()).decode()
        proof = base64.b64encode(new.sign(wire.rotation_bytes(self.agent_id, public_key))).decode()
        body = wire.RotateRequest(public_key=public_key, proof=proof).model_dump_json().encode()
        signed = self.signed("POST", wire.ROTATE_PATH, {}, body)
        reply = self.client.post(wire.ROTATE_PATH, content=body, headers=signed)
        if reply.is_success:
            self.key, self.public_key = new, new.public_key().public_bytes_raw()
        return reply

    def cursor(self, spool_id: str) -> httpx.Response:
        path = f"{wire.CURSOR_PATH}?spool={spool_id}"
        return self.client.get(path, headers=self.signed("GET", path, {}))

    def post(self, body: bytes, headers: dict[str, str], encoding: str | None = None) -> httpx.Response:
        signed = self.signed("POST", wire.INGEST_PATH, headers, body)
        if encoding:
            signed["Content-Encoding"] = encoding
        return self.client.post(wire.INGEST_PATH, content=body, headers=signed)

    def send(
        self,
        lines: Sequence[bytes | r.Record],
        spool_id: str = "spool-a",
        first_seq: int = 1,
        prev: str = wire.CHAIN_START,
        encoding: str | None = "zstd",
        **more: str,
    ) -> httpx.Response:
        raw = to_lines(lines)
        body = compress(b"".join(line + b"\n" for line in raw), encoding)
        headers = {
            wire.SPOOL_HEADER: spool_id,
            wire.FIRST_SEQ_HEADER: str(first_seq),
            wire.COUNT_HEADER: str(len(raw)),
            wire.PREV_HEADER: prev,
            **more,
        }
        return self.post(body, headers, encoding)


def to_lines(lines: Sequence[bytes | r.Record]) -> list[bytes]:
    return [line if isinstance(line, bytes) else r.encode(line) for line in lines]


def chain_over(lines: Sequence[bytes | r.Record], start: str = wire.CHAIN_START) -> str:
    for line in to_lines(lines):
        start = wire.chain_next(start, line)
    return start


def compress(body: bytes, encoding: str | None) -> bytes:
    match encoding:
        case "zstd":
            return zstandard.ZstdCompressor(level=3).compress(body)
        case "gzip":
            return gzip.compress(body)
    return body


class Scope:
    """Makes records of one microscope, in order, on a clock that only it moves."""

    def __init__(self, sender: Sender, boot_id: str = "boot-1", start_at: datetime = START_AT) -> None:
        self.common = {
            "instrument_id": sender.instrument_id,
            "producer": r.Producer(agent_id=sender.agent_id, version="0.1.0"),
        }
        self.boot_id = boot_id
        self.start_at = start_at
        self.elapsed_s = 0.0
        self.values: dict[str, dict[str, r.Reading]] = {
            "Camera": {
                "Exposure": self.read(50.0, unit="ms"),
                "Gain": self.read(1, how=r.How.HARDWARE),
                "CCDTemperature": self.read(-25.0, unit="Cel", how=r.How.HARDWARE),
            },
            "Objective": {"Label": self.read("Plan Apo 60x Oil", how=r.How.COMMANDED)},
            "Laser": {
                "Power": r.Reading(
                    status=r.ReadingStatus.FAILED,
                    how=r.How.HARDWARE,
                    observed_at=self.wall_at,
                    error="Serial command failed: no answer from COM4",
                )
            },
        }

    @property
    def wall_at(self) -> datetime:
        return self.start_at + timedelta(seconds=self.elapsed_s)

    def now(self) -> r.Instant:
        return r.Instant(
            wall_at=self.wall_at, monotonic_ns=int(self.elapsed_s * 1e9) + 1, boot_id=self.boot_id
        )

    def later(self, seconds: float) -> r.Instant:
        self.elapsed_s += seconds
        return self.now()

    def read(self, value: r.Scalar, unit: str | None = None, how: r.How = r.How.CACHE) -> r.Reading:
        return r.Reading(status=r.ReadingStatus.OK, value=value, unit=unit, how=how, observed_at=self.wall_at)

    def state(self) -> r.SystemState:
        return r.SystemState(
            taken=self.now(),
            duration_ms=12.5,
            devices={device: dict(values) for device, values in self.values.items()},
            presets={"Channel": self.read("GFP")},
            pixel_size=self.read(0.108, unit="um"),
        )

    def heartbeat(self, **more: object) -> r.Heartbeat:
        said = {
            "uptime_s": self.elapsed_s,
            "spool": r.SpoolHealth(n_waiting=3, bytes_on_disk=4096),
            "hardware": "idle",
            **more,
        }
        return r.Heartbeat(captured=self.now(), **self.common, **said)

    def event(self, message: str = "The hardware process crashed and was restarted.") -> r.AgentEvent:
        return r.AgentEvent(
            captured=self.now(),
            **self.common,
            severity=r.Severity.WARNING,
            event="hardware_process_crashed",
            message=message,
        )

    def snapshot(self) -> r.StateSnapshot:
        return r.StateSnapshot(
            captured=self.now(), **self.common, reason=r.SnapshotReason.STARTUP, state=self.state()
        )

    def change(
        self,
        device: str,
        name: str,
        after: r.Reading,
        cause: r.Cause = r.Cause.COMMANDED,
        acquisition_id: UUID | None = None,
    ) -> r.StateChange:
        now = self.now()
        change = r.Change(
            device=device,
            property=name,
            before=self.values.get(device, {}).get(name),
            after=after,
            cause=cause,
            first_at=now,
            last_at=now,
        )
        self.values.setdefault(device, {})[name] = after
        return r.StateChange(captured=now, **self.common, changes=(change,), acquisition_id=acquisition_id)

    def description(self, name: str = "Spinning disk 2") -> r.InstrumentDescription:
        stated = {"source": r.Source.PROFILE, "observed_at": self.wall_at}
        exposure = r.PropertyDescription(value_type="float", unit="ms", is_read_only=False, is_pre_init=False)
        return r.InstrumentDescription(
            captured=self.now(),
            **self.common,
            nameplate={
                "name": r.Quantity(value=name, **stated),
                "manufacturer": r.Quantity(value="Nikon", **stated),
                "model": r.Quantity(value="Ti2-E", **stated),
                "serial_number": r.Quantity(value="540123", **stated),
            },
            devices={
                "Camera": r.DeviceDescription(
                    device_type="CameraDevice",
                    library="DemoCamera",
                    adapter_name="DCam",
                    description="Demo camera",
                    properties={"Exposure": exposure},
                ),
                "Objective": r.DeviceDescription(
                    device_type="StateDevice",
                    library="DemoCamera",
                    adapter_name="DObjective",
                    description="Objective turret",
                    state_labels=("Plan Apo 60x Oil", "Plan Fluor 10x"),
                    properties={},
                ),
            },
            pixel_sizes={"60x": r.Quantity(value=0.108, unit="um", **stated)},
            software={"MMCore": "11.9.0", "pymmcore-plus": "0.18.1"},
        )

    def acquisition(
        self, n_frames: int = 6, reason: r.FinishReason = r.FinishReason.COMPLETED
    ) -> Iterator[r.Record]:
        """Yield started, a ledger for every four frames, a change, finished and the stamp of one acquisition."""
        acquisition_id = uuid4()
        common = {**self.common, "acquisition_id": acquisition_id}
        ms = {"unit": "ms", "source": r.Source.PLAN, "observed_at": self.wall_at}
        plan = r.AcquisitionPlan(
            axes={"t": n_frames, "c": 1},
            n_frames_expected=n_frames + 1,
            channels=(r.ChannelPlan(group="Channel", preset="GFP", exposure=r.Quantity(value=50.0, **ms)),),
        )
        images = (r.ImageDescription(camera="Camera", width_px=2048, height_px=2048, dtype="uint16"),)
        before, started = self.state(), self.now()
        yield r.AcquisitionStarted(
            captured=self.now(), **common, started=started, plan=plan, images=images, before=before
        )
        for first in range(0, n_frames, 4):
            yield self._ledger(common, first, min(4, n_frames - first))
        drift = r.Cause.DRIFTED
        warmer = self.read(-24.2, unit="Cel", how=r.How.HARDWARE)
        moved = self.change("Camera", "CCDTemperature", warmer, drift, acquisition_id)
        yield moved
        finished = r.AcquisitionFinished(
            captured=self.later(1),
            **common,
            started=started,
            finished=self.now(),
            reason=reason,
            plan=plan,
            images=images,
            frames=r.FrameCount(expected=n_frames + 1, seen=n_frames, dropped=1),
            before=before,
            after=self.state(),
            changed=moved.changes,
            files=(
                r.OutputFile(
                    path=r"D:\data\mitosis.ome.zarr",
                    format="ome-zarr",
                    size_bytes=50_331_648,
                    n_files=14,
                    sha256="3f" * 32,
                ),
            ),
            problems=("One planned frame never came.",),
        )
        yield finished
        stamped = r.StampedFile(
            path=r"D:\data\mitosis.ome.zarr",
            sidecar=r"D:\data\mitosis.ome.zarr.scopestamp.json",
            is_stamped_inside=True,
            size_bytes=50_340_000,
            sha256="a1" * 32,
        )
        yield r.DatasetStamp(
            captured=self.later(0.5),
            **common,
            stamped_record_id=finished.record_id,
            stamped_record_sha256=r.sha256_of(finished),
            files=(stamped,),
        )

    def qc(
        self,
        fwhm_um: float = 0.231,
        status: r.QcStatus = r.QcStatus.PASS,
        objective: str = "Plan Apo 60x Oil",
        **more: object,
    ) -> r.QcResult:
        """Return a run on beads: one figure with everything, one that could not be measured."""

        def um(value: float, source: r.Source = r.Source.QC, note: str | None = None) -> r.Quantity:
            return r.Quantity(value=value, unit="um", source=source, observed_at=self.wall_at, note=note)

        lateral = r.QcMetric(
            metric="fwhm_x_um",
            measured=um(fwhm_um),
            uncertainty=um(0.004),
            expected=um(0.188, r.Source.DERIVED, "0.51 λ/NA, λ = 525 nm"),
            baseline=um(0.224),
            upper_limit=0.282,
            status=status,
            rule="at most 1.5 x expected",
        )
        said = {
            "run_id": uuid4(),
            "routine": "psf",
            "routine_version": "1.0",
            "light_path": {"objective": objective, "camera": "Camera", "channel": "GFP"},
            "metrics": (
                lateral,
                r.QcMetric(metric="fwhm_z_um", status=r.QcStatus.UNKNOWN, rule="needs 10 beads"),
            ),
            "status": status,
            "n_used": 7,
            "n_rejected": {"saturated": 2, "too_close": 5},
            "parameters": {"background": "local median", "fit_radius_um": 1.5},
            "inputs": (r.QcInput(name="beads_60x.ome.tiff", sha256="b5" * 32),),
            "remarks": ("10 beads are wanted; 7 were left.",),
            "advice": (
                r.QcAdvice(
                    finding="Correction collar off",
                    check="Turn the collar and measure again.",
                    source="Faklaris et al. 2022, doi:10.1083/jcb.202107093, Table 1",
                ),
            ),
            "software": {"scopestamp": "0.1.0"},
            **more,
        }
        return r.QcResult(captured=self.now(), **self.common, **said)

    def session(self, duration_s: float, **more: object) -> r.UsageSession:
        """Return a session of use that begins now and lasts so long; the clock goes on with it."""
        began = self.now()
        said = {
            "session_id": uuid4(),
            "user_name": "unknown",
            "ended_by": "idle",
            "duration_s": duration_s,
            **more,
        }
        return r.UsageSession(
            began=began, ended=self.later(duration_s), captured=self.now(), **self.common, **said
        )

    def _ledger(self, common: dict[str, object], first: int, n: int) -> r.FrameLedger:
        seen = []
        for i in range(first, first + n):
            self.later(0.1 + 0.02 * math.sin(i))
            seen.append(self.now().monotonic_ns)
        columns = r.FrameColumns(
            frame=tuple(range(first, first + n)),
            seen_monotonic_ns=tuple(seen),
            runner_time_ms=tuple(100.0 * i for i in range(first, first + n)),
            index=tuple({"t": i, "c": 0} for i in range(first, first + n)),
            camera=("Camera",) * n,
            channel=("GFP",) * n,
            exposure_ms=(50.0,) * n,
            x_um=(1200.5,) * n,
            y_um=(-340.25,) * n,
            z_um=(12.3,) * n,
            position_how=(r.How.HARDWARE,) * n,
            state=(0,) * n,
        )
        states = (r.FrameState(from_frame=first, how=r.How.EVENT, values={}),)
        return r.FrameLedger(captured=self.now(), **common, first_frame=first, columns=columns, states=states)
