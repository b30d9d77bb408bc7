"""Lesson files: what is read, what is refused, and that every answer of a shipped lesson is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.lessons.check import lesson_problems
from alexplore.lessons.lesson import Lesson, LessonError
from alexplore.lessons.library import load_lesson, shipped_lessons
from alexplore.lessons.questions import QUESTIONS
from alexplore.lessons.reader import parse_lesson
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset, shipped_names

NUMBER = 'type = "number"\nask = "How many?"\nlayer = "conv1"\nquantity = "params"\nanswer = 34944\n'


def lesson_of(question: str, preset: str = "paper") -> Lesson:
    content = f'title = "T"\npreset = "{preset}"\n[[steps]]\ntext = "t"\n[steps.question]\n{question}'
    return parse_lesson(content, Path("mine.toml"))


def judged(question: str, typed: str = "", edited: Network | None = None) -> tuple[bool, str]:
    lesson = lesson_of(question)
    analysis = analyse(load_preset(lesson.preset).network)
    asked = lesson.steps[0].question
    assert asked is not None
    return asked.judge(typed, analysis, analyse(edited) if edited else analysis)


@pytest.fixture(scope="module")
def paper() -> Analysis:
    return analyse(load_preset("paper").network)


# The shipped ones


@pytest.mark.parametrize("lesson", shipped_lessons(), ids=lambda lesson: lesson.name)
def test_every_answer_of_a_shipped_lesson_is_right(lesson: Lesson) -> None:
    assert lesson_problems(lesson) == ()
    assert lesson.source
    assert lesson.summary
    assert lesson.preset in shipped_names()


def test_ten_lessons_ask_every_kind_of_question() -> None:
    lessons = shipped_lessons()
    assert len(lessons) == 10
    kinds = {step.question.type for lesson in lessons for step in lesson.steps if step.question}
    assert kinds == set(QUESTIONS)


def test_a_lesson_is_found_by_its_name_with_and_without_its_number() -> None:
    assert load_lesson("05-two-gpus") == load_lesson("two-gpus")
    with pytest.raises(LessonError, match=r"no lesson 'two-gpu'; did you mean 05-two-gpus"):
        load_lesson("two-gpu")


# Numbers


@pytest.mark.parametrize("typed", ["34944", "34,944", " 34 944 ", "34'944", "34_944"])
def test_a_number_may_be_written_in_several_ways(typed: str) -> None:
    assert judged(NUMBER, typed)[0]


@pytest.mark.parametrize("typed", ["96×55×55", "96x55x55", "[96, 55, 55]", "96 x 55 x 55", "(96, 55, 55)"])
def test_so_may_a_shape(typed: str) -> None:
    question = 'type = "number"\nask = "?"\nlayer = "conv1"\nquantity = "output"\nanswer = [96, 55, 55]\n'
    assert judged(question, typed)[0]
    assert not judged(question, "96×55×54")[0]


@pytest.mark.parametrize("answer", ["4096", "[4096]"])
def test_the_shape_of_a_vector_is_a_number(answer: str) -> None:
    question = f'type = "number"\nask = "?"\nlayer = "fc6"\nquantity = "output"\nanswer = {answer}\n'
    assert lesson_problems(lesson_of(question)) == ()
    assert judged(question, "4096")[0] and judged(question, "[4096]")[0]
    assert judged(question, "4095") == (False, "not 4,095: that is 1 too few")


@pytest.mark.parametrize(("digits", "rest"), [(400, ".5"), (4299, " g"), (5000, ""), (31, "")])
def test_a_number_that_is_too_large_to_be_an_answer_is_none(digits: int, rest: str) -> None:
    assert judged(NUMBER, "9" * digits + rest)[1].startswith("that is neither a number nor a shape")


def test_a_rounded_number_is_right_where_the_question_says_so() -> None:
    question = 'type = "number"\nask = "?"\nquantity = "params"\nanswer = 60965224\nwithin = 0.01\n'
    assert judged(question, "61 M")[0]
    assert judged(question, "61 million")[0]
    assert not judged(question, "62 M")[0]


def test_a_wrong_number_is_answered_with_its_difference() -> None:
    assert judged(NUMBER, "34,848") == (False, "not 34,848: that is 96 too few")
    assert judged(NUMBER, "35,000") == (False, "not 35,000: that is 56 too many")
    assert judged(NUMBER, "many")[1].startswith("that is neither a number nor a shape")


def test_a_known_mistake_is_explained() -> None:
    question = NUMBER + 'mistakes = [{ answer = 34848, say = "the biases are missing" }]\n'
    assert judged(question, "34848") == (False, "the biases are missing")


def test_the_arithmetic_is_that_of_the_layer(paper: Analysis) -> None:
    asked = lesson_of(NUMBER).steps[0].question
    assert asked is not None
    assert asked.explanation(paper) == "(11·11·3 + 1) · 96 = 34,944"


# The other kinds


def test_the_layer_with_the_most() -> None:
    question = 'type = "layer"\nask = "?"\nquantity = "params"\nanswer = "fc6"\n'
    assert judged(question, " FC6 ")[0]
    assert judged(question, "fc7") == (False, "not fc7: it has 16,781,312")
    assert judged(question, "fc66")[1] == 'there is no layer "fc66"; did you mean fc6 or fc8 or fc7?'


def test_the_statement_that_does_not_add_up() -> None:
    """290,400 = 96·55·55."""
    question = (
        'type = "find"\nask = "?"\nanswer = 2\nstatements = [\n'
        '{ say = "a", layer = "conv2", quantity = "neurons", value = 186624 },\n'
        '{ say = "b", layer = "conv1", quantity = "neurons", value = 253440 } ]\n'
    )
    assert judged(question, "2")[0]
    assert judged(question, "1") == (False, "line 1 adds up: 256·27·27 = 186,624")
    assert judged(question, "3") == (False, "type the number of a line, 1 to 2")


CHANGE = (
    'type = "change"\nask = "?"\n'
    'conditions = [{ layer = "conv1", quantity = "output", value = [96, 28, 28] }]\n'
    'solution = [{ layer = "conv1", setting = "stride", value = 8 }]\n'
)


def test_a_change_of_the_network(paper: Analysis) -> None:
    """(227 − 11) / 8 + 1 = 28."""
    network = paper.network
    assert judged(CHANGE)[1].startswith("the network is as it was")
    right = network.change(0, {"stride": 8})
    assert judged(CHANGE, edited=right)[0]
    assert judged(CHANGE, edited=network.change(0, {"stride": 7}))[1] == "conv1 output is 96×31×31, wanted: 96×28×28"
    more = right.change(network.index("drop6"), {"p": 0.1})
    assert judged(CHANGE, edited=more) == (False, "it holds, but one change is enough; yours: conv1 stride, drop6 p")
    assert judged(CHANGE, edited=network.change(0, {"stride": 99}))[1].startswith("a layer is broken")
    assert "there is no layer" in judged(CHANGE, edited=network.rename(0, "stem"))[1]


def test_a_layer_that_reads_others_is_a_change() -> None:
    """64 channels of 1×1 convolutions, 64 of 3×3 and the 16 that both read."""
    network = load_preset("squeezenet1_1").network
    inputs = [*network.source_names(network.index("fire2")), "fire2_squeeze_relu"]
    question = (
        'type = "change"\nask = "?"\n'
        'conditions = [{ layer = "fire2", quantity = "output", value = [144, 55, 55] }]\n'
        f'solution = [{{ layer = "fire2", setting = "inputs", value = {inputs} }}]\n'
    )
    assert lesson_problems(lesson_of(question, "squeezenet1_1")) == ()


# What a teacher is told


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        (NUMBER.replace("34944", "34848"), "answer: 34,848 is not right; conv1 params is 34,944"),
        (NUMBER + 'mistakes = [{ answer = 34944, say = "s" }]', "mistakes: 34,944 is the right answer"),
        (NUMBER.replace("conv1", "conv9"), 'layer: there is no layer "conv9"'),
        (NUMBER.replace('layer = "conv1"\nquantity = "params"', 'quantity = "jump"'), "quantity: jump is of a layer"),
        ('type = "layer"\nask = "?"\nquantity = "macs"\nanswer = "fc6"', "answer: fc6 is not right; most macs: conv2"),
        (CHANGE.replace("value = 8", "value = 7"), "solution: it does not do it: conv1 output is 96×31×31"),
        (CHANGE.replace("28, 28", "55, 55"), "conditions: they hold before anything is changed"),
        (CHANGE.replace('"stride"', '"strid"'), "strid"),
    ],
)
def test_what_is_not_right_by_the_analysis_is_found(question: str, problem: str) -> None:
    (found,) = lesson_problems(lesson_of(question))[:1]
    assert found.startswith("step 1: ")
    assert problem in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = ", "not valid TOML"),
        ('title = "T"\npreset = "paper"', "steps is missing"),
        ('title = "T"\npreset = "paper"\nsteps = []', "steps: found [], allowed: one or more [[steps]]"),
        ('title = "T"\npreset = "paper"\n[[steps]]\ntxt = "t"', 'step 1: unknown key "txt"; did you mean text?'),
        ('titel = "T"', 'unknown key "titel"; did you mean title?'),
    ],
)
def test_what_cannot_be_read_is_named_with_file_step_and_key(content: str, message: str) -> None:
    with pytest.raises(LessonError) as refused:
        parse_lesson(content, Path("mine.toml"))
    assert str(refused.value).startswith("mine.toml: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ('ask = "?"', "step 1: question: type: found nothing"),
        ('type = "nummer"\nask = "?"', 'type: found "nummer"; did you mean number?'),
        (NUMBER.replace("34944", '"many"'), 'answer: found "many", allowed: a number ≥ 0, or a list of them'),
        (NUMBER.replace("params", "weights"), 'quantity: found "weights", allowed: one of output'),
        (NUMBER + "mistakes = [{ answer = 1 }]", "mistakes: number 1: say is missing"),
        (CHANGE.replace(", value = [96, 28, 28]", ""), "conditions: number 1: value is missing"),
        *(
            (
                CHANGE.replace('layer = "conv1", setting = "stride", value = 8', f"input = {size}"),
                f"solution: number 1: input: found {size}, allowed: [channels, height, width], integers ≥ 1",
            )
            for size in ("224", "[3, 224]", "[3, 224, 224.5]")
        ),
    ],
)
def test_so_is_a_question(question: str, message: str) -> None:
    with pytest.raises(LessonError) as refused:
        lesson_of(question)
    assert message in str(refused.value)


def test_an_unknown_preset_is_found() -> None:
    assert "no preset 'nope'" in lesson_problems(lesson_of(NUMBER, "nope"))[0]
