"""Reports over a period: recognition as CSV and PDF, and an instrument's year as an RO-Crate."""
