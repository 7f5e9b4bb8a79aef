"""From a problem to the text and ids that a policy reads."""

import pytest

from mathrl.errors import ConfigError, DataError
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Problem

CHAT = (
    "<s>{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def problem(text, solution=None):
    return Problem(id=text, prompt=text, answer="1", metadata={"solution": solution})


QUESTION = problem("3+4?")
SHOTS = [problem("1+1?", "#### 2"), problem("no solution"), problem("2+2?", "#### 4")]


@pytest.fixture(scope="module")
def tokenizer():
    """Writes a beginning-of-sequence token by itself, as Llama's does."""
    from tokenizers.processors import TemplateProcessing

    from mathrl.trainers.tiny import build_tokenizer

    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", 0)]
    )
    return tokenizer


@pytest.fixture
def chat_tokenizer(tokenizer):
    tokenizer.chat_template = CHAT
    yield tokenizer
    tokenizer.chat_template = None


def test_plain_text():
    config = PromptConfig(template="Q: {prompt}\nA:", system="Be brief.")
    assert PromptBuilder(config).text(QUESTION) == "Be brief.\n\nQ: 3+4?\nA:"


def test_few_shot_examples_are_the_first_that_have_a_solution():
    config = PromptConfig(template="Q: {prompt}\nA: ", num_few_shot=2)
    builder = PromptBuilder(config, examples=SHOTS)
    assert builder.text(QUESTION) == ("Q: 1+1?\nA: #### 2\n\nQ: 2+2?\nA: #### 4\n\nQ: 3+4?\nA: ")
    assert [shot.prompt for shot in builder.shots] == ["1+1?", "2+2?"]


def test_a_worked_example_is_set_off_from_its_question():
    builder = PromptBuilder(PromptConfig(template="{prompt} Why?", num_few_shot=1), examples=SHOTS)
    assert builder.text(QUESTION) == "1+1? Why?\n#### 2\n\n3+4? Why?"


def test_too_few_examples():
    with pytest.raises(DataError, match="3 few-shot examples asked for, but only 2"):
        PromptBuilder(PromptConfig(num_few_shot=3), examples=SHOTS)


def test_a_question_with_braces_is_left_alone():
    config = PromptConfig(template="{prompt}!")
    assert PromptBuilder(config).text(problem(r"\frac{1}{2}{x}")) == r"\frac{1}{2}{x}!"


def test_chat_template(chat_tokenizer):
    config = PromptConfig(system="Be brief.", num_few_shot=1, template="{prompt}!")
    builder = PromptBuilder(config, tokenizer=chat_tokenizer, examples=SHOTS)
    assert builder.text(QUESTION) == (
        "<s>[system]Be brief.[user]1+1?![assistant]#### 2[user]3+4?![assistant]"
    )


def test_special_tokens_are_written_once(chat_tokenizer):
    """A template writes its own; plain text gets the tokenizer's."""
    chat = PromptBuilder(PromptConfig(), tokenizer=chat_tokenizer)
    plain = PromptBuilder(PromptConfig(chat="off"), tokenizer=chat_tokenizer)
    assert chat.ids(chat.text(QUESTION))[0] != 0
    assert plain.ids(plain.text(QUESTION)).count(0) == 1


def test_chat_is_used_where_there_is_a_template(tokenizer):
    assert not PromptBuilder(PromptConfig(), tokenizer=tokenizer).is_chat
    with pytest.raises(ConfigError, match="has no chat template"):
        PromptBuilder(PromptConfig(chat="on"), tokenizer=tokenizer)


def test_without_a_tokenizer_there_are_no_ids():
    assert PromptBuilder(PromptConfig()).ids("text") is None


def test_messages_are_the_turns_without_a_tokenizer():
    config = PromptConfig(template="Q: {prompt}", system="Be brief.", num_few_shot=1)
    turns = PromptBuilder(config, examples=SHOTS).messages(QUESTION)
    assert [(turn.role, turn.content) for turn in turns] == [
        ("system", "Be brief."),
        ("user", "Q: 1+1?"),
        ("assistant", "#### 2"),
        ("user", "Q: 3+4?"),
    ]
