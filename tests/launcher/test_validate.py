"""`perdure validate` and `perdure schema`, run as a user would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.commands.schema import schema_command
from launcher.commands.validate import validate_command
from trainer.contract.training import experiment_json_schema

DIGITS = Path(__file__).parents[2] / "experiments" / "digits"


@pytest.mark.parametrize("path", [DIGITS, DIGITS / "experiment.yaml"])
def test_a_valid_experiment_is_summed_up_in_a_line(path: Path) -> None:
    result = CliRunner().invoke(validate_command, [str(path), "--set", "training.epochs=5"])
    assert result.stdout == "digits is valid: 2 workers, up to 5 epochs, global batch of 60\n"
    assert result.exit_code == 0


def test_an_experiment_is_found_by_its_name_as_for_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DIGITS.parents[1])
    result = CliRunner().invoke(validate_command, ["digits"])
    assert result.stdout.startswith("digits is valid")


def test_errors_go_to_standard_error_and_the_exit_code_is_64() -> None:
    arguments = [str(DIGITS), "--set", "training.epochs=0", "--set", "training.sed=1"]
    result = CliRunner().invoke(validate_command, arguments)
    assert result.exit_code == 64
    assert result.stdout == ""
    assert result.stderr == (
        "from --set: spec.training.epochs: not allowed, received 0, "
        "expected an integer from 1 to 2147483647\n"
        "from --set: spec.training.sed: unknown key, did you mean 'seed'?\n"
    )


def test_errors_can_be_had_as_data(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text((DIGITS / "experiment.yaml").read_text().replace("seed: 42", "seed: é"))
    for name in ("model.py", "data.py"):
        (tmp_path / name).write_bytes((DIGITS / name).read_bytes())
    result = CliRunner().invoke(validate_command, [str(file), "-o", "json"])
    assert result.exit_code == 64
    assert json.loads(result.stdout) == [
        {
            "file": str(file),
            "line": 14,
            "key": "spec.training.seed",
            "message": "wrong type",
            "received": '"é"',
            "expected": "an integer from 0 to 4294967295",
            "hint": None,
            "text": f'{file}:14: spec.training.seed: wrong type, received "é", '
            "expected an integer from 0 to 4294967295",
        }
    ]


def test_no_errors_as_data_are_an_empty_list() -> None:
    result = CliRunner().invoke(validate_command, [str(DIGITS), "-o", "json"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_the_schema_is_printed() -> None:
    result = CliRunner().invoke(schema_command, [])
    schema = json.loads(result.stdout)
    assert result.exit_code == 0
    assert schema == experiment_json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_of_the_schema_is_described() -> None:
    schema = experiment_json_schema()
    silent = [
        f"{owner}.{key}"
        for owner, model in {"": schema, **schema["$defs"]}.items()
        for key, child in model.get("properties", {}).items()
        if "description" not in child
        and "description" not in schema["$defs"].get(child.get("$ref", "").rsplit("/", 1)[-1], {})
    ]
    assert silent == []


def test_validation_loads_neither_tensorflow_nor_the_experiment(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text((DIGITS / "experiment.yaml").read_text())
    for name, function in (("model.py", "build"), ("data.py", "load")):
        (tmp_path / name).write_text(f"def {function}(*arguments): ...\nraise SystemExit('imported')\n")
    program = (
        "import sys\nfrom launcher.experiment import load_experiment\n"
        f"load_experiment({str(tmp_path)!r})\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\nprint('done')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
