"""What the documents say of experiment files and exit codes is what the schema and the code say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.documentation import failure_page
from launcher.experiment import load_experiment
from launcher.experiment_error import KeyPath, key_text
from launcher.experiment_schema import expected_at
from launcher.preflight import Code
from launcher.preflight.code import ABOUT
from launcher.preflight.ignoring import NOT_IGNORABLE
from launcher.reasons import Reason
from trainer.contract.callback_order import CALLBACK_ORDER
from trainer.contract.exit_codes import ExitCode
from trainer.contract.fields import LARGEST_COUNT
from trainer.contract.training import experiment_json_schema

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "experiment-file.md"


def test_reference_has_exactly_the_keys_of_the_schema():
    documented = [line for line in _lines(REFERENCE) if line.startswith("| `")]
    expected = [_row(path, schema, required) for path, schema, required in _keys(experiment_json_schema())]
    assert documented == expected, "docs/experiment-file.md should have:\n" + "\n".join(expected)


def test_reference_tells_the_order_of_the_callbacks():
    documented = [line.split("`")[1] for line in _lines(REFERENCE) if re.match(r"\d+\. `", line)]
    assert documented == [position.kind.value for position in CALLBACK_ORDER]


def test_the_stack_names_tests_and_pages_that_exist():
    named = 0
    for line in _lines(ROOT / "docs" / "callbacks.md"):
        for page in re.findall(r"\]\(([^)]+)\)", line):
            assert (ROOT / "docs" / page).is_file(), page
        file = ""
        for path, function in re.findall(r"`([^`\s]+)::(\w+)`", line):
            file = file if path == "…" else path
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"\ndef {function}(" in text, f"{file}::{function}"
            named += 1
    assert named >= len(CALLBACK_ORDER)


def test_examples_are_valid(tmp_path):
    examples = [
        text for name in ("README.md", "docs/experiment-file.md") for text in _yaml_blocks(ROOT / name)
    ]
    assert len(examples) >= 2
    for name, content in (("model.py", "def build(): ...\n"), ("data.py", "def load(): ...\n")):
        (tmp_path / name).write_text(content)
    (tmp_path / "callbacks.py").write_text("def make(): ...\n")
    for number, text in enumerate(examples):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        assert load_experiment(file).spec.training.epochs > 0


def test_readme_tells_every_exit_code():
    rows = [line.split("|")[1].strip() for line in _lines(ROOT / "README.md") if line.startswith("| ")]
    assert [int(code) for code in rows if code.isdigit()] == [int(code) for code in ExitCode]


def test_each_reason_that_somebody_can_act_on_has_its_page():
    pages = {reason: failure_page(reason, "") for reason in Reason}
    there = {f"docs/failures/{file.name}" for file in (ROOT / "docs" / "failures").glob("[A-Z]*.md")}
    there.remove("docs/failures/README.md")
    assert {page for page in pages.values() if page} == there
    index = (ROOT / "docs" / "failures" / "README.md").read_text(encoding="utf-8")
    for reason, page in pages.items():
        if page:
            text = (ROOT / page).read_text(encoding="utf-8")
            assert text.startswith(f"# {reason}: "), page
            headings = [line for line in text.splitlines() if line.startswith("## ")]
            assert headings == ["## What one sees", "## Why", "## What to do"], page
            assert f"[{reason}]({reason}.md)" in index


def test_a_page_is_a_url_where_the_project_has_one():
    assert failure_page(Reason.BACK_OFF, "https://x/") == "https://x/docs/failures/BackOff.md"
    assert failure_page(Reason.FINISHED, "https://x/") == ""


def test_preflight_tells_of_every_code_in_their_order():
    sections = (ROOT / "docs" / "preflight.md").read_text(encoding="utf-8").split("\n### ")[1:]
    told = {section.partition("\n")[0]: section for section in sections}
    assert list(told) == [str(code) for code in Code]
    assert set(ABOUT) == set(Code)
    for code in Code:
        for part in ("*What one sees.*", "*Why.*", "*What to do.*"):
            assert part in told[code], code
        assert ("*Not to be ignored.*" in told[code]) == (code in NOT_IGNORABLE), code


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _yaml_blocks(path: Path) -> list[str]:
    blocks = path.read_text(encoding="utf-8").split("```yaml\n")[1:]
    return [block.partition("```")[0] for block in blocks]


SECTIONS = ("metadata", "spec", "training", "callbacks", "storage", "pod", "resources", "restart", "metrics")
"""Keys that hold nothing of their own."""


def _keys(schema: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any], bool]]:
    """Every key that holds a value of its own, in the order of the schema."""
    definitions = schema["$defs"]

    def below(path: KeyPath, of: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any], bool]]:
        for name, child in of.get("properties", {}).items():
            here = (*path, name)
            nested = list(_objects(here, child))
            if name not in SECTIONS:
                yield here, child, name in of.get("required", ())
            for at, inner in nested:
                yield from below(at, inner)

    def _objects(path: KeyPath, child: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
        for variant in child.get("anyOf", [child]):
            if "$ref" in variant:
                yield path, definitions[variant["$ref"].rsplit("/", 1)[1]]
            elif variant.get("type") == "array" and "$ref" in variant.get("items", {}):
                yield (*path, 0), definitions[variant["items"]["$ref"].rsplit("/", 1)[1]]
            elif isinstance(variant.get("additionalProperties"), dict):
                yield from _objects((*path, "NAME"), variant["additionalProperties"])

    yield from below((), schema)


def _row(path: KeyPath, schema: dict[str, Any], required: bool) -> str:
    default = "required" if required else f"`{_default(schema)}`"
    # The largest integer is there for the machine's sake; an error names it, a reader need not know it.
    expected = str(expected_at(path)).replace(f" to {LARGEST_COUNT}", " up")
    cells = [f"`{key_text(path)}`", expected, default, str(schema["description"])]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default", {})
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return json.dumps([{} if isinstance(item, dict) else item for item in value])
    return json.dumps(value)
