"""The content rules in force for each tenant, compiled once for each version of its book and of the operator's."""

from collections.abc import Iterable
from typing import Any, Final

from shared.contracts.fields import SYSTEM_TENANT

from segmenter.data.seed import seed_content_rules
from segmenter.domain.check_content import ContentRules
from segmenter.domain.content_rules import BOOK, Book

KIND: Final = "content"
REMEMBERED: Final = 1000


class ContentRuleStore:
    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], ContentRules] = {}

    async def current(self, connection: Any, tenants: Iterable[str]) -> dict[str, ContentRules]:
        """By tenant. The transaction must see `SYSTEM_TENANT` too."""
        wanted = sorted(set(tenants))
        rows = await connection.fetch(
            "SELECT tenant_id, version, body FROM tenant_rules WHERE kind = $1 AND tenant_id = ANY($2::text[])",
            KIND, [*wanted, SYSTEM_TENANT],
        )  # fmt: skip
        held = {row[0]: (row[1], row[2]) for row in rows}
        return {tenant: self._of(tenant, held.get(tenant), held.get(SYSTEM_TENANT)) for tenant in wanted}

    def _of(self, tenant: str, own: tuple[int, str] | None, operators: tuple[int, str] | None) -> ContentRules:
        versions = f"{own[0] if own else ''}+{operators[0] if operators else ''}"
        found = self._compiled.get((tenant, versions))
        if found is None:
            books = [_book("operator", operators) if operators else seed_content_rules()]
            if own:
                books.append(_book("own", own))
            while len(self._compiled) >= REMEMBERED:
                self._compiled.pop(next(iter(self._compiled)))
            found = self._compiled[tenant, versions] = ContentRules(*books)
        return found


def _book(whose: str, stored: tuple[int, str]) -> Book:
    version, body = stored
    return Book(BOOK.decode(body).rules, f"{whose}@{version}")
