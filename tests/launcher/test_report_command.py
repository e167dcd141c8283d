"""`perdure report` as it is typed."""

from pathlib import Path

import pytest

from launcher.__main__ import run

RUNS = Path(__file__).parents[1] / "fixtures" / "runs"
BELOW = ["--storage", str(RUNS)]


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_report_is_named_as_its_run(somewhere_else: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "small", *BELOW]) == 0
    assert [file.name for file in somewhere_else.iterdir()] == ["small.html"]
    assert capsys.readouterr().out == "report  small.html, for any browser\n"


def test_a_report_of_several_runs(somewhere_else: Path) -> None:
    assert run(["report", "small", "older", *BELOW]) == 0
    assert "2 runs compared" in (somewhere_else / "report.html").read_text()


def test_names_are_looked_up_in_runs(somewhere_else: Path) -> None:
    (somewhere_else / "runs").symlink_to(RUNS)
    assert run(["report", "small"]) == 0
    assert run(["report", "runs/digits/older", "-o", "x.html"]) == 0
    assert {file.name for file in somewhere_else.iterdir()} == {"runs", "small.html", "x.html"}


def test_a_report_goes_to_standard_output(somewhere_else: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "small", *BELOW, "-o", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>\n")
    assert list(somewhere_else.iterdir()) == []


def test_a_report_is_written_anew_and_nothing_else(
    somewhere_else: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = somewhere_else / "small.html"
    assert run(["report", "older", *BELOW, "-o", "small.html"]) == 0
    assert run(["report", "small", *BELOW]) == 0
    assert "<h1>small</h1>" in file.read_text()
    file.write_text("mine")
    assert run(["report", "small", *BELOW]) == 64
    assert file.read_text() == "mine"
    assert "small.html exists and is no report of Perdure" in capsys.readouterr().err


def test_all_that_is_wrong_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "small", "a", "b", *BELOW, "-o", "none/x.html"]) == 64
    told = capsys.readouterr().err
    for part in ("no run 'a'", "no run 'b'", "digits/small", "there is no folder none"):
        assert part in told


@pytest.mark.parametrize(
    ("output", "told"), [(".", "is a folder"), ("small.html/x.html", "there is no folder")]
)
def test_no_file_to_write(output: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "small", *BELOW, "-o", output]) == 64
    assert told in capsys.readouterr().err


def test_damaged_runs_are_told_each_with_its_files(
    somewhere_else: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (somewhere_else / name).mkdir()
        (somewhere_else / name / "result.json").write_text("{")
    assert run(["report", "a", "b"]) == 65
    told = capsys.readouterr().err
    assert f"{somewhere_else}/a/result.json is damaged: " in told
    assert f"{somewhere_else}/b/result.json is damaged: " in told
    assert not (somewhere_else / "report.html").exists()


def test_what_cannot_be_read(somewhere_else: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (somewhere_else / "a" / "result.json").mkdir(parents=True)
    assert run(["report", "a"]) == 77
    assert f"run directory {somewhere_else}/a cannot be read" in capsys.readouterr().err


def test_the_shell_offers_runs() -> None:
    from launcher.commands.report import report_command

    context = report_command.make_context("report", [], resilient_parsing=True)
    context.params["storage"] = str(RUNS)
    (argument,) = [each for each in report_command.params if each.name == "runs"]
    offered = [item.value for item in argument.shell_complete(context, "s")]
    assert offered == ["small"]
    assert [item.value for item in argument.shell_complete(context, "digits/o")] == ["digits/older"]
