"""What may stand in the settings file: sections, keys, units, defaults and reasons.

Every key has a default, so an empty file is a valid one.
"""

from __future__ import annotations

import os
import sys
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from agent.records import Scalar

DATA_DIR_VARIABLE = "SCOPESTAMP_DATA_DIR"
"""Environment variable that overrides `data_dir`."""

DEMO_CONFIG = "demo"
"""Stands for the demo configuration that comes with the installed test adapters."""

SIMULATED_CONFIG = "simulated"
"""Stands for the configuration that comes with the simulated microscope."""


def _from_file(value: str, info: ValidationInfo) -> str:
    """Make a path absolute, seen from the folder of the settings file (or the working directory without one)."""
    if not value:
        return value
    folder: Path = (info.context or {}).get("folder", Path())
    # normpath, not resolve: a mapped network drive keeps the letter its users know
    return os.path.normpath((folder / Path(value).expanduser()).absolute())


def _configuration(value: str, info: ValidationInfo) -> str:
    return value if value in (DEMO_CONFIG, SIMULATED_CONFIG) else _from_file(value, info)


def _web_address(value: str) -> str:
    if value and not value.startswith(("https://", "http://")):
        raise ValueError("an address that begins with https:// (or http://), or an empty string")
    return value.rstrip("/")


def _finite_scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("a text, a finite number, true or false, or {value = …, unit = …}")
    return value


def _spelled_out(value: Any) -> Any:
    return value if isinstance(value, dict | BaseModel) else {"value": value}


FilePath = Annotated[str, AfterValidator(_from_file)]
ConfigurationPath = Annotated[str, AfterValidator(_configuration)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Settings are strict: TOML has types of its own, so the text "30" is not the number 30."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class StatedFact(Section):
    """One thing the facility states of a device, such as a pixel pitch of 6.5 um."""

    value: Annotated[Scalar, BeforeValidator(_finite_scalar)] = Field(description="The value.")
    unit: str | None = Field(default=None, description="UCUM code of the unit, such as um, nm, mW.")


Fact = Annotated[StatedFact, BeforeValidator(_spelled_out)]


class InstrumentSettings(Section):
    """What the facility states of the instrument. An empty string means: not stated."""

    id: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$",
        description="Names the instrument in every record: letters, digits, '.', '_', '-'. "
        "Empty: minted at the first start.",
    )
    name: str = Field(default="", description="What people call it.")
    site: str = Field(default="", description="Where it stands: building, room.")
    manufacturer: str = Field(default="", description="Who made the stand.")
    model: str = Field(default="", description="Model of the stand.")
    serial_number: str = Field(default="", description="Serial number of the stand.")
    pid: str = Field(default="", description="Persistent identifier of the instrument, such as a DOI.")
    facility: str = Field(default="", description="Facility that runs it.")
    owner: str = Field(default="", description="Institution that owns it.")
    profile_file: FilePath = Field(
        default="",
        description="Instrument profile (TOML, see 'scopestamp profile'): objectives, filters, cameras, people … "
        "What it states goes before the keys here. Empty: none.",
    )
    devices: dict[str, dict[str, Fact]] = Field(
        default_factory=dict,
        description="Facts about single devices, joined to the hardware by device label:\n"
        "[instrument.devices.Camera]\n"
        'sensor = "back-illuminated sCMOS"\n'
        'pixel_pitch = {value = 6.5, unit = "um"}',
    )

    @property
    def nameplate(self) -> dict[str, str]:
        """What is stated of the whole instrument; keys that are not stated are left out."""
        texts = self.model_dump(exclude={"id", "devices", "profile_file"})
        return {key: text for key, text in texts.items() if text}


class StudioSettings(Section):
    """A running Micro-Manager Studio, watched with driver = "mmstudio"."""

    port: int = Field(
        default=4827,
        ge=1,
        le=65535,
        description="Port of its server, which must be on: Tools > Options > Run server on port.",
    )
    core_polling: bool = Field(
        default=False,
        description="Read devices from outside where our listener is not installed in Studio (see docs/studio.md).\n"
        "WARNING: closing Studio while such a read is under way crashes Studio. With the listener this is not needed.",
    )
    interval_s: Positive = Field(default=0.25, description="Studio is looked at this often.")
    timeout_s: Positive = Field(default=2.0, description="A request to Studio that takes longer is given up.")
    core_log: FilePath = Field(
        default="",
        description="Micro-Manager's CoreLogs folder, or one log file: with debug logging on, it tells what was "
        "commanded. Empty: not read.",
    )


class HardwareSettings(Section):
    """How the microscope is reached."""

    driver: Literal["mmcore", "simulated", "mmstudio"] = Field(
        default="mmcore",
        description="Back end that talks to the hardware: mmcore; simulated, for a microscope of known truth; or "
        "mmstudio, which loads nothing and watches a running Micro-Manager Studio.",
    )
    config_file: ConfigurationPath = Field(
        default="",
        description="Micro-Manager configuration (.cfg). 'demo': the demo configuration of the installed test "
        "adapters. 'simulated': the simulated microscope, with that driver. Empty: no hardware is loaded.",
    )
    adapter_paths: tuple[FilePath, ...] = Field(
        default=(),
        strict=False,  # TOML has lists, not tuples
        description="Folders with device adapters. Empty: where pymmcore-plus finds them.",
    )
    call_deadline_s: Positive = Field(
        default=30.0, description="A call to the hardware that takes longer counts as hung."
    )
    start_deadline_s: Positive = Field(
        default=120.0, description="Loading the configuration may take this long."
    )
    restart_backoff_s: Positive = Field(
        default=1.0,
        description="Pause before a crashed hardware process is started again; doubles each time.",
    )
    restart_backoff_max_s: Positive = Field(default=300.0, description="The longest such pause.")
    look_for_owners: bool = Field(
        default=True,
        description="Before real hardware is loaded, look for a Micro-Manager Studio and other programs that have it. "
        "Other agents and programs that called agent.attach are always heeded.",
    )
    wait_s: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="A command such as 'qc run' waits so long for hardware that somebody else has; 'run' waits for ever.",
    )
    studio: StudioSettings = Field(
        default=StudioSettings(), description="A running Micro-Manager Studio, with that driver."
    )

    @property
    def is_set(self) -> bool:
        """Whether any hardware is named."""
        return bool(self.config_file) or self.driver == "mmstudio"

    @model_validator(mode="after")
    def _pauses_in_order(self) -> HardwareSettings:
        if self.restart_backoff_max_s < self.restart_backoff_s:
            raise ValueError(
                f"restart_backoff_max_s of at least restart_backoff_s ({self.restart_backoff_s:g})"
            )
        return self


class CaptureSettings(Section):
    """What is recorded, and how often."""

    queue_size: int = Field(default=10_000, ge=1, description="Events that may wait to be recorded.")
    poll_interval_s: Positive = Field(
        default=30.0, description="One full cycle over all properties, in search of changes nobody announced."
    )
    poll_pause_ms: float = Field(
        default=5.0, ge=0, allow_inf_nan=False, description="Pause between two property reads of that cycle."
    )
    key_frame_interval_s: Positive = Field(
        default=3600.0, description="A whole snapshot is recorded this often, even if nothing changes."
    )
    ledger_flush_s: Positive = Field(
        default=0.25, description="Frame stamps reach the disk at least this often: what a crash can cost."
    )
    stamp_inside: bool = Field(default=True, description="Write the record's id into the dataset itself.")
    write_sidecar: bool = Field(default=True, description="Write the record as a file beside the dataset.")
    hash_files: bool = Field(default=True, description="Compute the SHA-256 of every dataset.")


class WatchSettings(Section):
    """Folders in which other programs leave their files."""

    folders: tuple[FilePath, ...] = Field(
        default=(),
        strict=False,  # TOML has lists, not tuples
        description="Folders to watch, with all below them. Empty: none. Try one with 'scopestamp watch --once FOLDER'.",
    )
    exclude: tuple[str, ...] = Field(
        default=("*.lock", "Thumbs.db", "$RECYCLE.BIN", "System Volume Information"),
        strict=False,
        description="Names of files and folders that are left alone, with * and ?.",
    )
    observer: Literal["auto", "native", "polling", "none"] = Field(
        default="auto",
        description="What tells of changes at once; the rescan finds them all the same. auto: the system's events on "
        "local disks, polling on network shares. none: the rescan alone.",
    )
    settle_s: Positive = Field(
        default=10.0,
        description="A dataset whose size and times have not changed for so long is taken for written, if its format's "
        "own test agrees.",
    )
    incomplete_after_s: Positive = Field(
        default=3600.0,
        description="One of which something is still missing is reported as incomplete when it has not changed for so "
        "long. Longer than the longest interval of your time lapses.",
    )
    rescan_s: Positive = Field(
        default=60.0, description="All folders are looked through again so long after they were."
    )
    rescan_entries: int = Field(
        default=20_000,
        ge=100,
        description="Most entries looked at in one go, before anything else gets its turn.",
    )
    hash_mb_per_s: float = Field(
        default=50.0,
        ge=0,
        allow_inf_nan=False,
        description="Most megabytes read per second to compute a SHA-256. 0: no limit. Nothing is read while an "
        "acquisition runs.",
    )
    report_existing: bool = Field(
        default=False,
        description="Also hash and report what was there before a folder was watched for the first time.",
    )


class UsageSettings(Section):
    """Sessions of use: from a person's first touch of the instrument to the last."""

    enabled: bool = Field(default=True, description="Record them.")
    idle_gap_s: Positive = Field(
        default=1800.0,
        description="A session ends with the last touch before so long a gap. While an acquisition or live mode runs "
        "there is no gap.",
    )


class PrivacySettings(Section):
    """What is published of people."""

    user_names: Literal["plain", "hashed", "omitted"] = Field(
        default="hashed",
        description="How the name of a person at the computer is published. plain: as it is. hashed: a keyed hash, the "
        "same for the same person at this site. omitted: not at all.",
    )
    site_secret_file: FilePath = Field(
        default="",
        description="Key of that hash: give every PC of a site the same file, so that one person has one hash there. "
        "Empty: a secret of this PC, in its data folder.",
    )


class CollectorSettings(Section):
    """Where records are sent."""

    url: WebAddress = Field(
        default="", description="Address of the collector, https://…; empty: keep records on disk only."
    )
    ca_file: FilePath = Field(
        default="", description="Certificate authority to trust (PEM). Empty: those of the system."
    )
    heartbeat_interval_s: Positive = Field(default=60.0, description="How often the agent says it is alive.")
    timeout_s: Positive = Field(
        default=30.0, description="A request that takes longer is given up and repeated."
    )


class ScheduleSettings(Section):
    """Quality control that runs by itself, and what it may do on this PC whoever asks for it."""

    is_on: bool = Field(default=True, description="false: nothing is run by itself.")
    file: FilePath = Field(
        default="", description="Schedules of this PC (TOML, see 'scopestamp schedule example'). Empty: none."
    )
    zone: str = Field(
        default="",
        description="Time zone of the site (IANA), such as Europe/Zurich, for schedules without their own.",
    )
    allow_collector: bool = Field(
        default=True, description="Run schedules that are written at the collector."
    )
    allowed_routines: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Routines that may be scheduled. Empty: all that run without a person.",
    )
    allowed_properties: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="'Device-Property' that schedules of the collector may set, such as \"Objective-Label\".",
    )
    fetch_interval_s: Positive = Field(
        default=60.0, description="How often the collector is asked for schedules."
    )
    least_quiet_min: float = Field(
        default=5.0, ge=0, allow_inf_nan=False, description="All guards must hold for at least this long."
    )
    unknown_input: Literal["refuse", "ignore"] = Field(
        default="refuse",
        description="When it cannot be told how long nobody has used mouse or keyboard: refuse to run, or ignore that.",
    )
    calendar: str = Field(
        default="",
        description="Booking calendar (iCalendar): a file, or an https:// address. Empty: none; then keep to a window.",
    )
    calendar_refresh_min: Positive = Field(default=10.0, description="How often it is read again.")
    calendar_stale_min: Positive = Field(
        default=120.0, description="A calendar older than this counts as booked throughout."
    )
    calendar_margin_min: float = Field(
        default=5.0, ge=0, allow_inf_nan=False, description="Free time wanted after the end of a run."
    )
    calendar_hosts: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Hosts within the private network that the calendar may be fetched from. Others must be public.",
    )
    max_light_s: Positive = Field(
        default=1800.0, description="Exposure with light that one run may add up to."
    )
    max_travel_um: Positive = Field(default=20_000.0, description="Furthest a run may move the stage.")
    max_focus_um: Positive = Field(default=500.0, description="Furthest a run may move the focus.")


class SpoolSettings(Section):
    """What waits on disk until the collector has it."""

    max_bytes: int = Field(
        default=0,
        ge=0,
        description="Largest size of all spools. 0: the smaller of 5 GB and 10 % of the free space.",
    )
    min_free_bytes: int = Field(
        default=1 << 30, ge=0, description="Below this much free space snapshots are thinned out (1 GiB)."
    )
    floor_bytes: int = Field(
        default=256 << 20,
        ge=0,
        description="Below this much free space nothing more is written: the disk belongs to the images (256 MiB).",
    )
    keep_sent_days: float = Field(
        default=7.0,
        ge=0,
        allow_inf_nan=False,
        description="What was sent is kept so long, for a collector that is restored from a backup. 0: not at all.",
    )
    keep_sent_bytes: int = Field(
        default=500_000_000, ge=0, description="At most so much of it; given up first when space is short."
    )


class LogSettings(Section):
    """The agent's own log files, in <data_dir>/logs."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important message that is kept: debug, info, warning or error."
    )
    max_bytes: int = Field(default=10_000_000, ge=10_000, description="A log file is rotated at this size.")
    n_files: int = Field(default=5, ge=1, description="Files kept per process, with the one being written.")


class AgentSettings(Section):
    """Settings of the Scopestamp agent. Relative paths are seen from the folder of this file."""

    data_dir: FilePath = Field(
        default="",
        description="Spool, ledgers, keys and logs. Empty: the platform's default. "
        f"The environment variable {DATA_DIR_VARIABLE} overrides it.",
    )
    instrument: InstrumentSettings = InstrumentSettings()
    hardware: HardwareSettings = HardwareSettings()
    capture: CaptureSettings = CaptureSettings()
    watch: WatchSettings = WatchSettings()
    usage: UsageSettings = UsageSettings()
    privacy: PrivacySettings = PrivacySettings()
    collector: CollectorSettings = CollectorSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    spool: SpoolSettings = SpoolSettings()
    log: LogSettings = LogSettings()

    @property
    def data_path(self) -> Path:
        """The data folder: the one that is set, else the platform's default. It need not exist yet."""
        return Path(self.data_dir) if self.data_dir else default_data_path()


def default_data_path() -> Path:
    """Return where data goes when nobody says: shared on Windows, where the agent is a service."""
    if sys.platform == "win32":
        return platformdirs.site_data_path("scopestamp", appauthor=False)
    return platformdirs.user_data_path("scopestamp", appauthor=False)
