"""Importing Elephant leaves the warnings of other libraries as they are."""

import subprocess
import sys

SCRIPT = """
import warnings
{start}
import spikebridge.validation.knob_measures, spikebridge.validation.patterns_tasks

class Theirs(UserWarning, DeprecationWarning):
    pass

with warnings.catch_warnings(record=True) as shown:
    warnings.warn_explicit(Theirs("deprecated"), None, "brian2.py", 1, "brian2")
    warnings.warn_explicit(UserWarning("for users"), None, "brian2.py", 2, "brian2")
print(*(str(warning.message) for warning in shown), sep=", ")
"""


def shown(start: str) -> str:
    command = [sys.executable, "-W", "default::UserWarning", "-W", "ignore::DeprecationWarning", "-c"]
    script = SCRIPT.format(start=start)
    return subprocess.run([*command, script], check=True, capture_output=True, text=True).stdout.strip()


def test_deprecations_stay_hidden_and_warnings_for_users_stay() -> None:
    assert shown("") == "for users"


def test_a_filter_that_was_there_before_stays() -> None:
    assert shown("warnings.simplefilter('once', UserWarning)") == "deprecated, for users"
