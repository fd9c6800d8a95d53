"""What is wrong with something an operator gave us, where, and why."""

from typing import NamedTuple


class FieldTrouble(NamedTuple):
    field: str
    code: str
    detail: str


class TroublesError(ValueError):
    """It is wrong; `troubles` says where and why, all of it at once."""

    def __init__(self, troubles: list[FieldTrouble]) -> None:
        super().__init__("; ".join(f"{t.field}: {t.detail}" for t in troubles[:20]))
        self.troubles = troubles
