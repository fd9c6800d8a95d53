"""Fixtures that every test may ask for."""

from support.parts import parts

__all__ = ["parts"]
