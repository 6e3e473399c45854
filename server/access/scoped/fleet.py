"""What somebody may see of instruments and their agents."""

from __future__ import annotations

from collections.abc import Sequence

from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedFleet(ScopedReads):
    """Without what is out of scope."""

    def instrument(self, instrument_id: str) -> rows.Instrument | None:
        return self._mine(self._reads.instrument(instrument_id))

    def instruments(self, limit: int | None = None) -> list[rows.Instrument]:
        return [one for one in self._reads.instruments() if self._has(one.instrument_id)][:limit]

    def agent(self, agent_id: str) -> rows.Agent | None:
        return self._mine(self._reads.agent(agent_id))

    def agents(self, instrument_id: str | None = None) -> list[rows.Agent]:
        return [one for one in self._reads.agents(instrument_id) if self._has(one.instrument_id)]

    def fleet(self, among: Sequence[str] | None = None) -> list[rows.FleetRow]:
        return self._reads.fleet(self._among(among))

    def fleet_marks(self) -> list[rows.FleetMark]:
        return [one for one in self._reads.fleet_marks() if self._has(one.instrument_id)]

    def qc_standing(self, among: Sequence[str] | None = None) -> list[rows.QcSeriesRow]:
        return self._reads.qc_standing(self._among(among))

    def join_code(self, code_sha256: str) -> rows.JoinCode | None:
        code = self._reads.join_code(code_sha256)
        return code if code is not None and self._scope.has_site(code.site) else None

    def join_codes(self) -> list[rows.JoinCode]:
        return [one for one in self._reads.join_codes() if self._scope.has_site(one.site)]
