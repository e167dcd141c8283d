"""What the text below a field says is its description in a schema."""

from trainer.contract.field_descriptions import field_descriptions
from trainer.contract.fields import FrozenModel


class Described(FrozenModel):
    """A model."""

    first: int = 1
    """What the first is for."""
    silent: int = 2
    second: int = 3
    """What the second is for,
    in two lines."""

    def method(self) -> int:
        """No field."""
        return self.first


def test_each_field_has_the_text_below_it() -> None:
    assert field_descriptions(Described) == {
        "first": "What the first is for.",
        "second": "What the second is for,\nin two lines.",
    }
    properties = Described.model_json_schema()["properties"]
    assert properties["first"]["description"] == "What the first is for."
    assert "description" not in properties["silent"]


def test_a_model_without_source_has_a_schema_without_descriptions() -> None:
    class Hidden(FrozenModel):
        number: int = 1
        """Not at the top of its module."""

    built = type("Built", (FrozenModel,), {"__annotations__": {"number": int}, "__module__": "builtins"})
    for model in (Hidden, built):
        assert field_descriptions(model) == {}
        assert "description" not in model.model_json_schema()["properties"]["number"]
