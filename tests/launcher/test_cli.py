import subprocess
import sys
from pathlib import Path

import pytest

from launcher.__main__ import run

DIGITS = Path(__file__).resolve().parents[2] / "experiments" / "digits"
COMMANDS = [
    "run", "validate", "callbacks", "schema", "render", "doctor", "submit", "report", "diff", "wait", "list",
    "watch", "status", "logs", "stop", "resume", "delete", "prune", "completion", "monitor", "tensorboard",
    "postmortem",
]  # fmt: skip


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: perdure {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["walk"], "No such command 'walk'"),
        (["run"], "Missing argument 'EXPERIMENT'"),
        (
            ["run", "no-such"],
            "there is no experiment 'no-such': neither no-such nor experiments/no-such exists",
        ),
        (["run", str(DIGITS), "--workers", "two"], "'two' is not a valid integer"),
        (["run", str(DIGITS), "--run", "My Run"], "received 'My Run'"),
        (["run", str(DIGITS), "--workers", "7"], "global_batch_size"),
        (["run", str(DIGITS), "--set", "training.epoch=5"], "epochs"),
    ],
)
def test_a_wrong_command_line_is_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 64
    told = capsys.readouterr()
    assert message in told.err + told.out


def test_a_reader_that_has_had_enough_sees_no_traceback() -> None:
    command = [sys.executable, "-m", "launcher", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_neither_help_nor_import_loads_tensorflow() -> None:
    program = (
        "import sys, launcher, launcher.local, launcher.report, launcher.live_view\n"
        "from launcher.__main__ import run\n"
        "run(['--help']); run(['run', '--help'])\n"
        "heavy = {'tensorflow', 'keras', 'fsspec'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_help_needs_none_of_the_commands_imports() -> None:
    program = (
        "import sys\nfrom launcher.__main__ import run\nrun(['--help'])\n"
        "heavy = {'pydantic', 'rich', 'ruamel.yaml'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize(
    "option", [("--run", "mine"), ("--storage", "x"), ("--start-over",), ("--metrics-port", "9")]
)
def test_a_dry_run_leaves_nothing_so_some_options_have_no_meaning(
    option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", str(DIGITS), "--dry", *option]) == 64
    assert f"{option[0]} has no meaning with --dry" in capsys.readouterr().err
