import pytest

from launcher.html_report.markup import Markup, element, table, text


def test_elements_are_nested_and_texts_escaped() -> None:
    found = element(
        "p", "a < b & ", element("b", 'c "d"'), class_="x", aria_label='"quoted"', hidden=True, id=None
    )
    assert found == (
        '<p class="x" aria-label="&quot;quoted&quot;" hidden>a &lt; b &amp; <b>c &quot;d&quot;</b></p>'
    )
    assert element("br") == "<br>"
    assert element("input", name="n", checked=False) == '<input name="n">'


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("'\"", "&#x27;&quot;"),
        ("\x00\x1b[31mred\u202e", "\\x00red\\u202e"),
        ("\ud800", "?"),
        (1.5, "1.5"),
    ],
)
def test_text_is_only_text(given, shown) -> None:
    assert text(given) == shown
    assert isinstance(text(given), Markup)
    text(given).encode()


def test_a_table_names_its_rows_and_columns() -> None:
    found = table("Caption", ["a", "b"], [["1", "2"]])
    assert '<th scope="col">a</th>' in found
    assert '<th scope="row">1</th><td>2</td>' in found
