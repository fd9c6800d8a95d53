"""The fixtures of `ledger_world.py`."""

from stack.dlr_processor.ledger_world import ledgers, world

__all__ = ["ledgers", "world"]
