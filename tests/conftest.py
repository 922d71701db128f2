"""What every test shares: how far hypothesis looks for a counterexample."""

import os

from hypothesis import settings

# The same examples each time, so that a change of the code is what changes the result. No deadline: no test is timed.
settings.register_profile("quick", deadline=None, derandomize=True)
settings.register_profile("full", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
