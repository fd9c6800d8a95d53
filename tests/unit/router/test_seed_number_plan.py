"""The number plan that comes with the service says what public tables say."""

import pytest
from phonenumbers.carrierdata import CARRIER_DATA
from router.data.seed import seed_ranges

# MCC and MNC to its operators under the names of libphonenumber; read on 2026-11-25 in ITU-T's list of mobile network codes (Operational
# Bulletin 1162 and amendments) and in Wikipedia's, which agree on all of these. Eplus is O2's, Orange of Great Britain EE's, 3 Italia and
# WIND are Wind Tre's, and Telenet bought Base.
ASSIGNED = {
    "20601": {"Proximus"}, "20610": {"Orange"}, "20620": {"Telenet"}, "20801": {"Orange France"}, "20810": {"SFR"},
    "20815": {"Free Mobile"}, "20820": {"Bouygues"}, "21401": {"Vodafone"}, "21403": {"Orange"}, "21404": {"Yoigo"},
    "21407": {"Movistar"}, "22201": {"TIM"}, "22210": {"Vodafone"}, "22288": {"3 Italia", "WIND"}, "23410": {"O2"},
    "23415": {"Vodafone"}, "23420": {"Three"}, "23430": {"EE", "Orange"}, "26201": {"T-Mobile"}, "26202": {"Vodafone"},
    "26203": {"Eplus", "O2"},
}  # fmt: skip


def test_every_network_of_the_seed_is_one_that_was_checked() -> None:
    found: dict[str, set[str]] = {}
    for one in seed_ranges():
        if one.network:
            found.setdefault(one.network, set()).add(one.operator)
    assert found == ASSIGNED


@pytest.mark.parametrize("country", ["BE", "DE", "ES", "FR", "GB", "IT"])
def test_every_range_has_the_operator_that_libphonenumber_names(country: str) -> None:
    ranges = [one for one in seed_ranges() if one.country == country and one.network]
    told = {one.prefix: CARRIER_DATA[one.prefix]["en"] for one in ranges if one.prefix in CARRIER_DATA}
    assert len(told) > 0.9 * len(ranges)  # a newer table may have given some ranges up
    assert {one.prefix: one.operator for one in ranges if one.prefix in told} == told
