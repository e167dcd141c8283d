from datetime import UTC, datetime

import pytest

from launcher.naming import LIMIT, check_run_name, run_name

NOW = datetime(2026, 11, 24, 17, 5, 9, tzinfo=UTC)


def test_a_run_is_named_after_its_experiment_and_its_time() -> None:
    assert run_name("digits", NOW, "ab12") == "digits-20261124-170509-ab12"


@pytest.mark.parametrize("experiment", ["a" * 40, "My Experiment", "a-" * 20, "---", "ä"])
def test_every_name_made_is_a_name_allowed(experiment: str) -> None:
    check_run_name(run_name(experiment, NOW, "ab12"))


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a/b", "../a", "a" * (LIMIT + 1), "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="received"):
        check_run_name(name)
