"""The content rules in force for each tenant, compiled once for each version of its book and of the operator's."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from shared.contracts.fields import SYSTEM_TENANT

from segmenter.data.seed import mandatory_opt_out_countries, seed_content_rules
from segmenter.domain.check_content import ContentRules
from segmenter.domain.content_rules import BOOK, Book
from segmenter.domain.opt_out_texts import Endings, Texts

KIND: Final = "content"
OPT_OUT_TEXTS: Final = "opt_out_texts"
REMEMBERED: Final = 1000
_Stored = tuple[int, str]  # version and JSON
_NONE: Final[_Stored] = (0, "")
_TEXTS: Final = msgspec.json.Decoder(Texts)


class ContentRuleStore:
    def __init__(self) -> None:
        self._compiled: dict[tuple[str, tuple[int, ...]], ContentRules] = {}

    async def current(self, connection: Any, tenants: Iterable[str]) -> dict[str, ContentRules]:
        """By tenant. The transaction must see `SYSTEM_TENANT` too."""
        wanted = sorted(set(tenants))
        rows = await connection.fetch(
            "SELECT tenant_id, kind, version, body FROM tenant_rules WHERE kind = ANY($1::text[]) AND tenant_id = ANY($2::text[])",
            [KIND, OPT_OUT_TEXTS], [*wanted, SYSTEM_TENANT],
        )  # fmt: skip
        held = {(row[0], row[1]): (row[2], row[3]) for row in rows}
        operators = held.get((SYSTEM_TENANT, KIND), _NONE)
        return {
            tenant: self._of(
                tenant, operators, held.get((tenant, KIND), _NONE), held.get((tenant, OPT_OUT_TEXTS), _NONE)
            )
            for tenant in wanted
        }

    def _of(self, tenant: str, operators: _Stored, own: _Stored, texts: _Stored) -> ContentRules:
        key = (tenant, (operators[0], own[0], texts[0]))
        found = self._compiled.get(key)
        if found is None:
            books = [_book("operator", operators) if operators[0] else seed_content_rules()]
            if own[0]:
                books.append(_book("own", own))
            endings = Endings(
                _TEXTS.decode(texts[1]).texts if texts[0] else {}, mandatory_opt_out_countries(), texts[0]
            )
            while len(self._compiled) >= REMEMBERED:
                self._compiled.pop(next(iter(self._compiled)))
            found = self._compiled[key] = ContentRules(*books, endings=endings)
        return found


def _book(whose: str, stored: _Stored) -> Book:
    version, body = stored
    return Book(BOOK.decode(body).rules, f"{whose}@{version}")
