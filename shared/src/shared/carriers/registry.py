"""Every profile, by name. A new family is one file beside this one and one entry here."""

from typing import Final

from shared.carriers import jsmpp, node_smpp, plain, smpp33, smpp50
from shared.carriers.profile import CarrierProfile

_PROFILES: Final[dict[str, CarrierProfile]] = {
    profile.name: profile
    for profile in (plain.PROFILE, smpp33.PROFILE, smpp50.PROFILE, jsmpp.PROFILE, node_smpp.PROFILE)
}


def profile_names() -> list[str]:
    return sorted(_PROFILES)


def load_profile(name: str) -> CarrierProfile:
    """Raises ValueError, listing the known names, for any other."""
    profile = _PROFILES.get(name)
    if profile is None:
        raise ValueError(f"no carrier profile named {name!r}; known: {', '.join(profile_names())}")
    return profile
