"""What a store is asked and told of instruments, their agents and how they stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from server.store import rows


class ReadsFleet(ABC):
    """Questions about instruments, their agents and how they stand."""

    @abstractmethod
    def instrument(self, instrument_id: str) -> rows.Instrument | None: ...
    @abstractmethod
    def instruments(self, limit: int | None = None) -> list[rows.Instrument]:
        """All instruments, or the first of them, by name."""

    @abstractmethod
    def agent(self, agent_id: str) -> rows.Agent | None: ...
    @abstractmethod
    def agents(self, instrument_id: str | None = None) -> list[rows.Agent]:
        """All agents, or those of one instrument; last enrolled first."""

    @abstractmethod
    def fleet(self, among: Sequence[str] | None = None) -> list[rows.FleetRow]:
        """All instruments, or some, by name, each at a glance: a few statements, however many there are."""

    @abstractmethod
    def fleet_marks(self) -> list[rows.FleetMark]:
        """All instruments by name in a few words: one statement, without a record decoded."""

    @abstractmethod
    def qc_standing(self, among: Sequence[str] | None = None) -> list[rows.QcSeriesRow]:
        """Every series of all instruments, or of some, with how it stands, by instrument and routine."""

    @abstractmethod
    def join_code(self, code_sha256: str) -> rows.JoinCode | None: ...
    @abstractmethod
    def join_codes(self) -> list[rows.JoinCode]: ...


class WritesFleet(ABC):
    """Changes of instruments, their agents and how they stand."""

    @abstractmethod
    def put_instrument(self, instrument: rows.Instrument) -> None:
        """Add it, or rename the one there is; `added_at` stays."""

    @abstractmethod
    def put_agent(self, agent: rows.Agent) -> None:
        """Add it, or update what it says of itself and to which instrument it is bound."""

    @abstractmethod
    def replace_key(self, agent_id: str, public_key: bytes) -> None: ...
    @abstractmethod
    def revoke_agent(self, agent_id: str, at: datetime) -> None: ...
    @abstractmethod
    def add_join_code(self, code: rows.JoinCode) -> None: ...
    @abstractmethod
    def use_join_code(self, code_sha256: str, agent_id: str, at: datetime) -> None: ...
