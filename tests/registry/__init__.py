"""The acceptance of registry entries."""

import pytest

# Its assertions are to say as much as a test's own.
pytest.register_assert_rewrite("tests.registry.loads")
