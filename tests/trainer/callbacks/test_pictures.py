import numpy as np
import pytest

from trainer.callbacks import pictures

RED, GREEN, BLUE, GREY = (200, 48, 32), (0, 128, 64), (0, 96, 200), (120, 120, 120)


@pytest.mark.parametrize(
    ("case", "shape", "expected"),
    [
        ("a vector is a column", (7,), (1, 7, 1, 1)),
        ("a matrix lies down", (9, 4), (1, 4, 9, 1)),
        ("as it is, if it does", (4, 9), (1, 4, 9, 1)),
        ("an image for each output", (3, 5, 2), (2, 3, 5, 1)),
        ("at most three", (3, 5, 8), (3, 3, 5, 1)),
        ("colours where there are three inputs", (5, 4, 3, 8), (3, 5, 4, 3)),
        ("inputs side by side", (5, 4, 6, 2), (2, 5, 24, 1)),
        ("a kernel over one input", (5, 4, 1, 2), (2, 5, 4, 1)),
        ("every third of too many", (2, 1300), (1, 2, 434, 1)),
        ("none of a scalar", (), None),
        ("none of nothing", (0, 3), None),
        ("none of five dimensions", (2, 2, 2, 2, 2), None),
    ],
)
def test_shapes_of_weights(case, shape, expected):
    drawn = pictures.of_weight(np.arange(np.prod(shape), dtype="float32").reshape(shape))
    assert (None if drawn is None else drawn.shape) == expected, case


def test_a_weight_reaches_from_black_to_white():
    drawn = pictures.of_weight(np.array([[-2.0, 0.0, np.nan, 2.0, np.inf]]))
    assert drawn.reshape(-1).tolist() == [0, 128, 128, 255, 128]
    assert pictures.of_weight(np.full((2, 2), 3.0)).max() == 0


def test_the_inputs_of_a_kernel_stand_side_by_side():
    kernel = np.zeros((2, 2, 2, 1))
    kernel[:, :, 1, 0] = 1
    assert pictures.of_weight(kernel)[0, :, :, 0].tolist() == [[0, 0, 255, 255]] * 2


@pytest.mark.parametrize(
    ("case", "shape", "expected"),
    [
        ("an image with channels", (2, 80, 90, 3), (2, 80, 90, 3)),
        ("an image without", (2, 80, 90), (2, 80, 90, 1)),
        ("a small one is enlarged", (2, 28, 28, 1), (2, 84, 84, 1)),
        ("a square of features", (2, 64), (2, 64, 64, 1)),
        ("a line of features", (2, 10), (2, 7, 70, 1)),
        ("four are no square that one would know", (2, 4), (2, 16, 64, 1)),
        ("no image", (2, 3, 4, 5), None),
        ("numbers", (2,), None),
    ],
)
def test_shapes_of_rows(case, shape, expected):
    drawn = pictures.of_rows(np.zeros(shape))
    assert (None if drawn is None else drawn.shape) == expected, case


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0.0, 0.5, 1.0], "float32", [0, 128, 255]),
        ([0, 51, 255], "float32", [0, 51, 255]),
        ([3, 51, 200], "uint8", [3, 51, 200]),
        ([-1.0, 0.0, 1.0], "float32", [0, 128, 255]),
    ],
)
def test_what_looks_like_an_image_is_shown_as_it_is(values, dtype, expected):
    wide = np.repeat(np.array(values, dtype), 22)[None, :, None]  # too wide to be enlarged
    assert pictures.of_rows(wide)[0, ::22, 0, 0].tolist() == expected


def colours(picture):
    """Of each bar its colour at the foot, and whether the line of the target stands below it."""
    return [(tuple(picture[59, x]), tuple(picture[62, x]) == BLUE) for x in range(3, picture.shape[1], 6)]


@pytest.mark.parametrize(
    ("case", "target", "expected"),
    [
        ("right", 1, [(GREY, False), (GREEN, True), (GREY, False)]),
        ("wrong", 2, [(GREY, False), (RED, False), (GREY, True)]),
        ("unknown", None, [(GREY, False), (GREY, False), (GREY, False)]),
    ],
)
def test_bars_tell_right_from_wrong(case, target, expected):
    assert colours(pictures.of_prediction(np.array([0.2, 0.7, 0.1]), target)) == expected, case


def test_bars_are_as_high_as_their_values():
    picture = pictures.of_prediction(np.array([0.5, 1.0, 0.0]), None)
    assert [int((picture[:60, x] != 255).any(axis=-1).sum()) for x in (3, 9, 15)] == [30, 60, 0]
    logits = pictures.of_prediction(np.array([-4.0, 4.0, 0.0]), None)
    assert [int((logits[:60, x] != 255).any(axis=-1).sum()) for x in (3, 9, 15)] == [0, 60, 30]


def test_of_many_classes_several_share_a_bar():
    values = np.zeros(1000)
    values[777] = 1.0
    picture = pictures.of_prediction(values, 777)
    assert picture.shape == (64, 6 * 84, 3)
    assert [index for index, bar in enumerate(colours(picture)) if bar == (GREEN, True)] == [777 // 12]
    # The highest shares its bar with the target, and is another class.
    assert colours(pictures.of_prediction(values, 778))[777 // 12] == (RED, True)


def test_pictures_beside_each_other_are_as_high_as_the_higher():
    both = pictures.beside(np.zeros((2, 10, 5, 1), np.uint8), np.zeros((2, 20, 7, 3), np.uint8))
    assert both.shape == (2, 20, 5 + 4 + 7, 3)
    assert (both[:, 10:, :5] == 255).all()
    assert (both[:, :10, :5] == 0).all()
