from launcher.state_colours import with_changes, with_states


def test_states_in_columns_are_coloured_and_words_are_not() -> None:
    text = "state       running\n0       failed   1  n0\nmine  digits  waiting (BackOff)  -"
    assert with_states(text) == (
        "state       \x1b[32mrunning\x1b[0m\n0       \x1b[31mfailed\x1b[0m   1  n0\n"
        "mine  digits  \x1b[33mwaiting\x1b[0m (BackOff)  -"
    )
    assert with_states("the run failed, it is not running") == "the run failed, it is not running"


def test_a_diff_is_green_and_red_but_for_its_head() -> None:
    text = "--- run/model.py\n+++ here/model.py\n-old\n+new\n same"
    assert with_changes(text) == (
        "--- run/model.py\n+++ here/model.py\n\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n same"
    )
