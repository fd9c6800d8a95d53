"""What every test may ask for, and how long Hypothesis may think."""

from hypothesis import HealthCheck, settings
from support.parts import parts

__all__ = ["parts"]

# Timings here are noisy and no test is about time: a property is false or it is not.
settings.register_profile("relais", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("relais")
