"""Registration of channels (chromatic shift, co-registration) from multicolour beads."""

from qc_routines.registration.measure import measure_registration

__all__ = ["measure_registration"]
