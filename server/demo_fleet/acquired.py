"""The acquisitions of the last weeks in full: how each began, its frames, its state before and after, the QC that held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from agent import records as r
from agent.exports import Bundle, view_of
from agent.exports.qc_stamp import qc_stamp
from server.demo_fleet.figures import CAMERA, CHANNEL, OBJECTIVE, temperature_c
from server.demo_fleet.lines import VERSION, Lines
from server.demo_fleet.script import Instrument

FULL_WEEKS = 3
MOST_FRAMES = 240
"""Of such an acquisition: its ledger is read on a page."""
_EXPOSURE_MS = 50.0
_MODALITIES: dict[str, str] = {
    "TIRF": "tirf", "Spinning disk": "spinning_disk", "Light sheet": "light_sheet",
}  # fmt: skip
Timed = tuple[datetime, bytes]


def profile_of(instrument: Instrument, since: date) -> r.Profile:
    """Return what its facility states of an instrument; of one in three nobody has registered a DOI yet."""
    maker, _, model = instrument.model.partition(" ")
    has_doi = instrument.number % 3 != 2
    objective = r.Objective(
        name=OBJECTIVE, device="Objective", state=OBJECTIVE, manufacturer=maker, magnification=60, na=1.4,
        immersion="oil", refractive_index=1.518, correction="PlanApo", working_distance_um=130,
    )  # fmt: skip
    camera = r.Camera(
        name=CAMERA, device=CAMERA, detector_type="cmos", pixel_width_um=6.5, pixel_height_um=6.5, bit_depth=16,
        array_width_px=2048, array_height_px=2048, read_noise_e=1.4,
    )  # fmt: skip
    plate = r.Nameplate.model_validate(
        {
            "name": instrument.name,
            "manufacturers": [{"name": maker}],
            "model": model,
            "serial_number": f"{540_000 + instrument.number}",
            "commissioned": since,
            "modality": _MODALITIES.get(instrument.sort, "widefield_fluorescence"),
            "owners": [{"name": "University of the Demo"}],
            # 10.5072 is DataCite's prefix for tests: it leads nowhere.
            "pid": f"https://doi.org/10.5072/{instrument.instrument_id}" if has_doi else None,
            "registered_year": since.year if has_doi else None,
        }
    )
    return r.Profile(
        instrument=plate,
        organisation=r.Organisation(name="University of the Demo"),
        facility=r.Facility(name=f"Imaging facility, {instrument.site}"),
        stand=r.Stand(name=model, manufacturer=maker, model=model, geometry="inverted"),
        objectives=(objective,),
        cameras=(camera,),
    )


class Acquired:
    """Makes the records of one instrument's acquisitions.

    Parameters
    ----------
    instrument : Instrument
        That acquires.
    lines : Lines
        Gives ids and instants.
    since : datetime
        When its profile was stated.
    """

    def __init__(self, instrument: Instrument, lines: Lines, since: datetime) -> None:
        self._instrument = instrument
        self._lines = lines
        self._profile = profile_of(instrument, since.date())
        self._producer = r.Producer(agent_id=lines.agent_id, version=VERSION)

    def profile(self, at: datetime) -> bytes:
        """Return the record of the instrument's profile."""
        told = r.InstrumentProfile(
            **self._common(at), profile=self._profile, profile_sha256=self._profile.sha256
        )  # type: ignore[arg-type]
        return r.encode(told)

    def snapshot(self, at: datetime) -> bytes:
        """Return the state of everything."""
        state, reason = self._state(at), r.SnapshotReason.KEY_FRAME
        return r.encode(r.StateSnapshot(**self._common(at), reason=reason, state=state))  # type: ignore[arg-type]

    def acquisition(
        self,
        at: datetime,
        interval_s: float,
        n_frames: int,
        person: str,
        is_ok: bool,
        runs: Sequence[r.QcResult],
    ) -> tuple[list[Timed], UUID]:
        """Return all records of an acquisition and its id; `runs` are the instrument's quality control before."""
        name, n_seen = self._lines.new_id(at), n_frames if is_ok else n_frames // 2
        ends_at = at + timedelta(seconds=interval_s * n_seen)
        path = f"/data/{person}/{at:%Y-%m-%d}_{str(name)[-6:]}.ome.zarr"
        plan, images, before = self._plan(n_frames, interval_s, at), self._images(at), self._state(at)
        common = {
            "acquisition_id": name,
            "started": self._now(at),
            "plan": plan,
            "images": images,
            "before": before,
        }
        started = r.AcquisitionStarted(**self._common(at), **common, outputs=(path,))  # type: ignore[arg-type]
        after = self._state(ends_at)
        finished = r.AcquisitionFinished(
            **self._common(ends_at + timedelta(seconds=1)),  # type: ignore[arg-type]
            **common,  # type: ignore[arg-type]
            finished=self._now(ends_at),
            reason=r.FinishReason.COMPLETED if is_ok else r.FinishReason.ERRORED,
            frames=r.FrameCount(expected=n_frames, seen=n_seen, dropped=n_frames - n_seen),
            after=after,
            changed=self._changed(before, after, at, ends_at),
            files=(self._file(path, n_seen, name),),
            problems=()
            if is_ok
            else ("The camera stopped delivering frames; the program ended the acquisition.",),
            profile_sha256=self._profile.sha256,
        )
        finished = finished.model_copy(
            update={"qc": qc_stamp(view_of(Bundle(finished, self._profile)), runs)}
        )
        stamped_at = ends_at + timedelta(seconds=4)
        made: list[r.Record] = [started, *self._ledgers(name, n_seen, interval_s, at), finished]
        told = [(record.captured.wall_at, r.encode(record)) for record in made]
        return [*told, (stamped_at, r.encode(self._stamp(finished, stamped_at)))], name

    def _common(self, at: datetime) -> dict[str, object]:
        return {
            "record_id": self._lines.new_id(at),
            "captured": self._now(at),
            "instrument_id": self._instrument.instrument_id,
            "producer": self._producer,
        }

    def _now(self, at: datetime) -> r.Instant:
        return r.Instant.model_validate(self._lines.instant(at))

    def _state(self, at: datetime) -> r.SystemState:
        def read(value: r.Scalar, unit: str | None = None) -> r.Reading:
            return r.Reading(
                status=r.ReadingStatus.OK, value=value, unit=unit, how=r.How.HARDWARE, observed_at=at
            )

        chip_c = round(-20 + 0.02 * (at.minute % 7), 2)
        room_c = round(temperature_c(self._instrument, at) + 0.01 * (at.minute % 11), 2)
        return r.SystemState(
            taken=self._now(at),
            duration_ms=12.5,
            devices={
                CAMERA: {"Exposure": read(_EXPOSURE_MS, "ms"), "CCDTemperature": read(chip_c, "Cel"), "Binning": read("1x1")},
                "Objective": {"Label": read(OBJECTIVE), "State": read(2)},
                "Incubator": {"Temperature": read(room_c, "Cel")},
                "Lamp": {"Intensity": read(35, "%")},
            },
            presets={"Channel": read(CHANNEL)},
            pixel_size=read(0.108, "um"),
        )  # fmt: skip

    def _changed(
        self, before: r.SystemState, after: r.SystemState, at: datetime, ends_at: datetime
    ) -> tuple[r.Change, ...]:
        found = []
        for device, values in before.devices.items():
            for name, was in values.items():
                holds = after.devices[device][name]
                if holds.value != was.value:
                    told = {
                        "first_at": self._now(at),
                        "last_at": self._now(ends_at),
                        "cause": r.Cause.DRIFTED,
                    }
                    found.append(r.Change(device=device, property=name, before=was, after=holds, **told))  # type: ignore[arg-type]
        return tuple(found)

    def _plan(self, n_frames: int, interval_s: float, at: datetime) -> r.AcquisitionPlan:
        def planned(value: float, unit: str) -> r.Quantity:
            return r.Quantity(value=value, unit=unit, source=r.Source.PLAN, observed_at=at)

        channel = r.ChannelPlan(group="Channel", preset=CHANNEL, exposure=planned(_EXPOSURE_MS, "ms"))
        interval = planned(interval_s, "s")
        return r.AcquisitionPlan(
            axes={"t": n_frames}, n_frames_expected=n_frames, channels=(channel,), time_interval=interval
        )

    def _images(self, at: datetime) -> tuple[r.ImageDescription, ...]:
        size = r.Quantity(value=0.108, unit="um", source=r.Source.DEVICE, observed_at=at)
        image = r.ImageDescription(
            camera=CAMERA, width_px=2048, height_px=2048, dtype="uint16", pixel_size=size
        )
        return (image,)

    def _file(self, path: str, n_frames: int, name: UUID) -> r.OutputFile:
        sha256 = hashlib.sha256(f"{name}".encode()).hexdigest()
        size_bytes = 8_388_608 * n_frames
        return r.OutputFile(
            path=path, format="ome-zarr", size_bytes=size_bytes, n_files=n_frames + 4, sha256=sha256
        )

    def _ledgers(self, name: UUID, n_frames: int, interval_s: float, at: datetime) -> Iterator[r.FrameLedger]:
        """Yield the frames, on time but for some milliseconds, and now and then late."""
        dice = self._instrument.dice(f"frames {name}")
        for first in range(0, n_frames, 120):
            numbers = range(first, min(first + 120, n_frames))
            late_ms = [abs(dice.gauss(0, 1.5)) + (40 if dice.random() < 0.01 else 0) for _ in numbers]
            times_ms = [
                round(1000 * interval_s * k + late, 2) for k, late in zip(numbers, late_ms, strict=True)
            ]
            seen_at = at + timedelta(milliseconds=times_ms[-1])
            began_ns, n = self._lines.instant(at)["monotonic_ns"], len(numbers)
            columns = r.FrameColumns(
                frame=tuple(numbers),
                seen_monotonic_ns=tuple(began_ns + int(1e6 * one) for one in times_ms),
                runner_time_ms=tuple(times_ms),
                index=tuple({"t": k} for k in numbers),
                camera=(CAMERA,) * n,
                channel=(CHANNEL,) * n,
                exposure_ms=(_EXPOSURE_MS,) * n,
                x_um=(1250.0,) * n,
                y_um=(-830.5,) * n,
                z_um=tuple(round(42.0 + 0.001 * k, 3) for k in numbers),
                position_how=(r.How.HARDWARE,) * n,
                state=(0,) * n,
            )
            states = (r.FrameState(from_frame=first, how=r.How.HARDWARE, values={}),)
            common = self._common(seen_at)
            yield r.FrameLedger(
                **common, acquisition_id=name, first_frame=first, columns=columns, states=states
            )  # type: ignore[arg-type]

    def _stamp(self, finished: r.AcquisitionFinished, at: datetime) -> r.DatasetStamp:
        (file,) = finished.files
        stamped = r.StampedFile(
            path=file.path,
            sidecar=f"{file.path}.scopestamp.json",
            is_stamped_inside=True,
            size_bytes=file.size_bytes + 4096,
            sha256=hashlib.sha256(f"stamped {file.sha256}".encode()).hexdigest(),
        )
        return r.DatasetStamp(
            **self._common(at),  # type: ignore[arg-type]
            acquisition_id=finished.acquisition_id,
            stamped_record_id=finished.record_id,
            stamped_record_sha256=r.sha256_of(finished),
            files=(stamped,),
        )
