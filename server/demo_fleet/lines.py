"""Records of one simulated agent as the bytes it would send.

Each kind is made once by its real model; what varies is then set in a copy. Ingest validates every line as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import records as r
from agent.records import wire
from agent.records.schedules import Schedule
from server.demo_fleet.figures import CAMERA, LIGHT_PATH, OBJECTIVE, FigureModel, status_of
from server.demo_fleet.script import Instrument

if TYPE_CHECKING:
    from server.demo_fleet.planned import Occurrence

VERSION = "0.1.0"
Json = dict[str, Any]
_AT = datetime.fromisoformat("2001-02-03T04:05:06Z")
_ID = UUID("00000000-0000-7000-8000-000000000000")
_PARAMETERS: dict[str, dict[str, r.Scalar]] = {
    "psf": {"bead_diameter_um": 0.1, "na": 1.4, "immersion": 1.518, "emission_nm": 520, "z_step_um": 0.1},
    "illumination": {"n_tiles": 9, "smoothing_px": 16},
    "drift": {"interval_s": 30, "duration_min": 60},
}
_ADVICE: dict[str, list[Json]] = {
    "fwhm_z": [
        {
            "finding": "spherical aberration: correction collar, cover glass or medium do not match",
            "check": "Set the collar for cover glass and temperature; 0.17 mm cover glass; fresh immersion oil without bubbles.",
            "source": "the demo's script, in the words of the PSF routine",
        },
        {
            "finding": "the focus drive does not go as far as it is told",
            "check": "Run the routine z_repeatability; compare with another objective on the same stand.",
            "source": "the demo's script",
        },
    ],
}
_encode = msgspec.json.Encoder(order="sorted").encode


class Lines:
    """Makes records of one instrument."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._dice = instrument.dice("lines")
        seed = instrument.dice("key").randbytes(32)
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self.key.public_key().public_bytes_raw()
        self.agent_id = wire.agent_id_of(self.public_key)
        self._templates = _templates(instrument, self.agent_id)
        self._ns = 0
        self._last_id = _ID

    def qc(
        self, routine: str, at: datetime, drawn: list[tuple[FigureModel, float]]
    ) -> tuple[bytes, UUID, str]:
        """Return a run of quality control, its id and its verdict."""
        worst = "fail" if any(status_of(*one) == "fail" for one in drawn) else "pass"
        run_id = self.new_id(at)
        told = {
            "metrics": [self._metric(one, value, at) for one, value in drawn],
            "inputs": [
                {"name": f"{routine}_{at:%Y-%m-%d}.ome.tiff", "sha256": f"{self._dice.getrandbits(256):064x}"}
            ],
            "advice": [
                one
                for model, value in drawn
                if status_of(model, value) == "fail"
                for one in _ADVICE.get(model.figure, ())
            ],
        }
        return self._line(f"qc {routine}", at, run_id=run_id, status=worst, **told), run_id, worst

    def change(
        self, device: str, name: str, before: object, after: object, at: datetime, unit: str | None = None
    ) -> bytes:
        """Return one change of a property."""
        read, instant = self._templates["change"]["changes"][0], self.instant(at)
        ends = {"before": before, "after": after}
        unit_told = {"unit": unit} if unit else {}
        values = {
            end: {**read[end], "value": value, "observed_at": _told(at), **unit_told}
            for end, value in ends.items()
        }
        told = {**read, **values, "device": device, "property": name, "first_at": instant, "last_at": instant}
        return self._line("change", at, changes=[told])

    def acquisition(
        self, at: datetime, minutes: float, n_frames: int, person: str, is_ok: bool
    ) -> tuple[list[bytes], UUID]:
        """Return how an acquisition ended and where it was stamped, and its id."""
        name = self.new_id(at)
        seen = n_frames if is_ok else n_frames // 2
        path = f"/data/{person}/{at:%Y-%m-%d}_{str(name)[-6:]}.ome.zarr"
        file = {**self._templates["finished"]["files"][0], "path": path, "size_bytes": 8_388_608 * n_frames}
        finished = self._line(
            "finished",
            at + timedelta(minutes=minutes),
            acquisition_id=name,
            started=self.instant(at),
            finished=self.instant(at + timedelta(minutes=minutes)),
            reason="completed" if is_ok else "errored",
            frames={"expected": n_frames, "seen": seen, "unstamped": 0, "dropped": n_frames - seen},
            plan={
                **self._templates["finished"]["plan"],
                "axes": {"t": n_frames},
                "n_frames_expected": n_frames,
            },
            files=[{**file, "sha256": f"{self._dice.getrandbits(256):064x}"}],
        )
        stamp = self._line(
            "stamp",
            at + timedelta(minutes=minutes, seconds=4),
            acquisition_id=name,
            stamped_record_id=self._last_id,
            stamped_record_sha256=hashlib.sha256(finished).hexdigest(),
            files=[{"path": path, "sidecar": f"{path}.scopestamp.json", "is_stamped_inside": True}],
        )
        return [finished, stamp], name

    def session(
        self,
        at: datetime,
        hours: float,
        person: str,
        acquisitions: list[UUID],
        acquired_s: float,
        n_frames: int,
    ) -> bytes:
        """Return a session of use."""
        ended = at + timedelta(hours=hours)
        return self._line(
            "session",
            ended,
            session_id=self.new_id(at),
            user=person,
            began=self.instant(at),
            ended=self.instant(ended),
            duration_s=hours * 3600,
            acquisition_ids=acquisitions,
            n_acquisitions=len(acquisitions),
            acquiring_s=acquired_s,
            n_frames_acquired=n_frames,
            n_snaps=self._dice.randrange(40),
        )

    def heartbeat(self, at: datetime, disk_free_gb: float, uptime_s: float = 86_400.0) -> bytes:
        """Return a heartbeat."""
        return self._line("heartbeat", at, disk_free_bytes=int(disk_free_gb * 1e9), uptime_s=uptime_s)

    def description(self, at: datetime, firmware: str) -> bytes:
        """Return what the instrument is."""
        software = {**self._templates["description"]["software"], "Camera firmware": firmware}
        return self._line("description", at, software=software)

    def planned_run(
        self, one: Occurrence, state: r.ScheduleState, at: datetime, reason: str = "", **more: object
    ) -> bytes:
        """Return a step of a planned run; `until` in `more` asks a person for its slide until then."""
        until = more.pop("until", None)
        told = {key: _told(value) if isinstance(value, datetime) else value for key, value in more.items()}
        if isinstance(until, datetime):
            told["task"] = {**_task(one.schedule), "until": _told(until)}
        return self._line(
            "planned",
            at,
            run_id=one.run_id,
            schedule_id=one.schedule.schedule_id,
            routine=one.schedule.routine,
            planned_at=_told(one.planned_at),
            zone=one.schedule.zone,
            state=state.value,
            reason=reason,
            **told,
        )

    def plan(
        self,
        at: datetime,
        schedules: Sequence[Schedule],
        next_at: Mapping[str, Sequence[datetime]],
        booked: Sequence[tuple[datetime, datetime]],
        booked_until: datetime,
    ) -> bytes:
        """Return the schedules an agent goes by, with when each routine is next planned, and its bookings."""
        planned = [
            {
                "schedule_id": one.schedule_id,
                "source": "collector",
                "version": 1,
                "routine": one.routine,
                "rule": one.rule,
                "zone": one.zone,
                "next_at": [_told(moment) for moment in next_at[one.routine]],
            }
            for one in schedules
        ]
        taken = [{"start": _told(start), "end": _told(end)} for start, end in booked]
        return self._line("plan", at, schedules=planned, booked=taken, booked_until=_told(booked_until))

    def new_id(self, at: datetime) -> UUID:
        """Return an id that begins with the time (RFC 9562, version 7), its rest drawn from the seed."""
        ms, rest = int(at.timestamp() * 1000), self._dice.getrandbits(74)
        return UUID(int=ms << 80 | 7 << 76 | (rest >> 62) << 64 | 2 << 62 | rest & (1 << 62) - 1)

    def _line(self, kind: str, at: datetime, **varying: object) -> bytes:
        self._last_id = self.new_id(at)
        value = {
            **self._templates[kind],
            **varying,
            "record_id": self._last_id,
            "captured": self.instant(at),
        }
        return _encode(value)

    def instant(self, at: datetime) -> Json:
        """Return a moment on the clocks of its computer."""
        self._ns += 1
        return {
            "wall_at": _told(at),
            "monotonic_ns": int(at.timestamp()) * 10**9 + self._ns,
            "boot_id": "demo",
        }

    def _metric(self, model: FigureModel, value: float, at: datetime) -> Json:
        def quantity(number: float, source: str = "qc") -> Json:
            return {"value": round(number, 4), "unit": model.unit, "source": source, "observed_at": _told(at)}

        told = {
            "metric": model.figure,
            "measured": quantity(value),
            "uncertainty": quantity(model.noise),
            "baseline": quantity(model.level),
            "status": status_of(model, value),
            "rule": model.rule,
            "lower_limit": model.lower,
            "upper_limit": model.upper,
            "expected": quantity(model.expected, "derived") if model.expected is not None else None,
        }
        return {key: one for key, one in told.items() if one is not None}


def _told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _task(schedule: Schedule) -> Json:
    steps = [
        f"Put the slide '{schedule.slide}' into place {schedule.slot} of {schedule.n_slots} of the holder, cover glass "
        "towards the objective.",
        "Choose the objective by hand if it is changed by hand; give it its immersion.",
        "Focus on the slide, and leave its middle over the objective.",
        "Close the door or the hood, leave the room dark, and confirm.",
    ]
    return {"slide": schedule.slide, "slot": schedule.slot, "n_slots": schedule.n_slots, "steps": steps}


def _templates(instrument: Instrument, agent_id: str) -> dict[str, Json]:
    """Return one record of each kind as JSON, made by its model."""
    now = r.Instant(wall_at=_AT, monotonic_ns=1, boot_id="demo")
    common = {
        "record_id": _ID,
        "captured": now,
        "instrument_id": instrument.instrument_id,
        "producer": r.Producer(agent_id=agent_id, version=VERSION),
    }
    read = r.Reading(status=r.ReadingStatus.OK, value=1, how=r.How.HARDWARE, observed_at=_AT)
    change = r.Change(
        device="D", property="P", before=read, after=read, cause=r.Cause.NOTIFIED, first_at=now, last_at=now
    )
    stated = {"source": r.Source.PROFILE, "observed_at": _AT}
    maker, _, model = instrument.model.partition(" ")
    file = r.OutputFile(path="/data", format="ome-zarr", size_bytes=1, n_files=14, sha256="0" * 64)
    plan = r.AcquisitionPlan(
        axes={"t": 1}, n_frames_expected=1, channels=(r.ChannelPlan(group="Channel", preset="GFP"),)
    )
    made: dict[str, r.Record] = {
        "change": r.StateChange(**common, changes=(change,)),
        "heartbeat": r.Heartbeat(
            **common,
            uptime_s=1.0,
            spool=r.SpoolHealth(n_waiting=0, bytes_on_disk=0),
            hardware="idle",
            disk_free_bytes=1,
            clock_offset_s=0.05,
            memory_bytes=60_000_000,
            versions={"scopestamp": VERSION},
        ),
        "finished": r.AcquisitionFinished(
            **common,
            acquisition_id=_ID,
            started=now,
            finished=now,
            reason=r.FinishReason.COMPLETED,
            plan=plan,
            images=(r.ImageDescription(camera=CAMERA, width_px=2048, height_px=2048, dtype="uint16"),),
            frames=r.FrameCount(seen=1),
            files=(file,),
        ),
        "session": r.UsageSession(
            **common,
            session_id=_ID,
            user="somebody",
            user_name="plain",
            began=now,
            ended=now,
            duration_s=1.0,
            ended_by="idle",
            devices={"Stage": 12, "Objective": 2},
        ),
        "description": r.InstrumentDescription(
            **common,
            nameplate={
                "name": r.Quantity(value=instrument.name, **stated),
                "manufacturer": r.Quantity(value=maker, **stated),
                "model": r.Quantity(value=model, **stated),
            },
            devices={
                CAMERA: r.DeviceDescription(
                    device_type="CameraDevice", library="DemoCamera", adapter_name="DCam", properties={}
                ),
                "Objective": r.DeviceDescription(
                    device_type="StateDevice",
                    library="DemoCamera",
                    adapter_name="DObjective",
                    state_labels=(OBJECTIVE, "Plan Fluor 20x"),
                    properties={},
                ),
            },
            software={"MMCore": "11.9.0"},
        ),
        "planned": r.ScheduleRun(
            **common,
            run_id=_ID,
            schedule_id="psf",
            source="collector",
            routine="psf",
            planned_at=_AT,
            zone="UTC",
            state=r.ScheduleState.DONE,
        ),
        "plan": r.SchedulePlan(**common, schedules=()),
        "stamp": r.DatasetStamp(**common, stamped_record_id=_ID, stamped_record_sha256="0" * 64, files=()),
    }
    for routine in ("psf", "illumination", "drift"):
        made[f"qc {routine}"] = r.QcResult(
            **common,
            run_id=_ID,
            routine=routine,
            routine_version="1.0",
            light_path=LIGHT_PATH,
            metrics=(),
            status=r.QcStatus.PASS,
            n_used=9,
            n_rejected={"too close to another": 3, "out of focus": 1} if routine == "psf" else {},
            parameters=_PARAMETERS[routine],
            software={"scopestamp": VERSION},
        )
    return {kind: record.model_dump(mode="json", exclude_none=True) for kind, record in made.items()}
