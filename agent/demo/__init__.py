"""``scopestamp demo``: the whole product on one computer, on real parts."""

from agent.demo.run import run_demo

__all__ = ["run_demo"]
