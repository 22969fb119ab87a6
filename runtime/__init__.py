"""The pure machine: no I/O, no async, no clock, no logging, no vendor. Everything else depends on it."""
