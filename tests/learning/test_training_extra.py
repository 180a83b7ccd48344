"""A bot without the training packages says what to install, and everything else works."""

import subprocess
import sys

import pytest

from bot.learning.training_extra import PACKAGES, check_training_extra

WITHOUT = """
import sys
for name in {missing}:
    sys.modules[name] = None
from bot.errors import LearningError
from bot.learning.training_extra import check_training_extra
try:
    check_training_extra()
except LearningError as error:
    print(error)
"""


def test_nothing_is_missing_here() -> None:
    """With the extra installed there is nothing to say."""
    check_training_extra()


@pytest.mark.parametrize("missing", [("torch",), PACKAGES], ids=len)
def test_what_is_missing_is_named_with_the_mend(missing: tuple[str, ...]) -> None:
    """The sentence names each package and the command."""
    script = WITHOUT.format(missing=missing)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert f"({', '.join(sorted(missing))})" in said
    assert "pip install 'apprentice[train]'" in said
