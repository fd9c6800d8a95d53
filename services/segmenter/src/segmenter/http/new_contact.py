"""A contact as a caller writes it, checked and made ready to store: one by one, in a batch or as a line of a file."""

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Struct
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.contact_store import NewContact
from segmenter.adapters.zone_table import cities
from segmenter.domain.attributes import Schema, UnfitError
from segmenter.domain.numbers import judge, written_as_e164
from segmenter.domain.zone_of_place import zone_of
from segmenter.http.bodies import LOCALE, REF, Locale, Ref, written_wrong, zones
from segmenter.http.import_lines import Row
from segmenter.http.parts import Parts

MOST_ATTRIBUTES: Final = 200
LARGEST_ATTRIBUTES: Final = 16 * 1024

_NUMBER = msgspec.Meta(max_length=40)
_REF: Final = re.compile(REF)
_LOCALE: Final = re.compile(LOCALE)


class ContactBody(Struct, forbid_unknown_fields=True, kw_only=True):
    number: Annotated[str, _NUMBER]
    attributes: dict[str, Any] = {}
    locale: Locale | None = None
    time_zone: str | None = None


class ContactItem(ContactBody, forbid_unknown_fields=True, kw_only=True):
    ref: Ref


class ContactMaker:
    """Makes the contacts of one request of a tenant; `schema` learns from them."""

    def __init__(self, parts: Parts, tenant: str, schema: Schema) -> None:
        self._parts, self._tenant, self.schema = parts, tenant, schema

    def made(self, ref: str, body: ContactBody, within: str = "") -> NewContact:
        """Of a body whose shape was checked. ProblemError names the field under `within`."""
        return self.make(ref, body.number, body.attributes, body.locale, body.time_zone, within)

    def made_of_words(self, row: Row) -> NewContact:
        """Of words whose shape nobody has checked yet. ProblemError."""
        if _REF.match(row.ref) is None:
            raise written_wrong("ref")
        if row.locale is not None and _LOCALE.match(row.locale) is None:
            raise written_wrong("locale")
        return self.make(row.ref, row.number, row.attributes, row.locale, row.time_zone)

    def make(
        self, ref: str, number: str, attributes: dict[str, Any], locale: str | None, time_zone: str | None, within: str = ""
    ) -> NewContact:  # fmt: skip
        """A number that no SMS can reach is kept, and said to be so."""
        given = written_as_e164(number)
        if given is None:
            raise field_problem(
                f"{within}number", "invalid_number", "an international number such as +33 6 12 34 56 78"
            )
        if time_zone is not None and time_zone not in zones():
            raise field_problem(f"{within}time_zone", "invalid_value", "an IANA name such as Europe/Paris")
        if len(attributes) > MOST_ATTRIBUTES:
            raise field_problem(f"{within}attributes", "too_many", f"at most {MOST_ATTRIBUTES} attributes")
        try:
            self.schema.take(attributes)
        except UnfitError as error:
            raise field_problem(f"{within}attributes.{error.name}"[:200], error.code, error.detail) from None
        encoded = msgspec.json.encode(attributes)
        if len(encoded) > LARGEST_ATTRIBUTES:
            raise field_problem(f"{within}attributes", "too_large", f"at most {LARGEST_ATTRIBUTES // 1024} KiB of JSON")
        facts = judge(given)
        if time_zone is None and facts.time_zone is None and facts.problem is None:
            zone = zone_of(facts.country, attributes, cities())
            facts = facts if zone is None else msgspec.structs.replace(facts, time_zone=zone)
        found = self._parts.number(self._tenant, facts.number)
        sealed = self._parts.at_rest.seal(self._tenant, found.contact_id, facts.number)
        return NewContact(ref, found, facts, sealed, locale, time_zone, encoded.decode())


def trouble_of(problem: ProblemError) -> tuple[str, str, str]:
    """Field, code and detail of the first thing that is wrong."""
    if not problem.errors:
        return "line", problem.code, problem.detail
    return problem.errors[0]["field"], problem.errors[0]["code"], problem.errors[0]["detail"]
