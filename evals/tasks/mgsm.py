"""Tasks ``mgsm`` and ``mgsm_bn`` to ``mgsm_zh``: 250 problems of GSM8K in eleven languages.

    mathrl eval --task mgsm_de --model MODEL
    mathrl eval --task mgsm --model MODEL

arXiv 2210.03057. ``mgsm`` is all languages one after the other, with the language as the subject;
a problem has the same id in both. The question is in its language and the instruction in English,
as for every other task. The grader reads the digits of all scripts, so ``১৮`` is 18. No figure is
quoted: those we found are few-shot, or instruct in each language.
"""

from mathrl.evals.tasks.base import Task

LANGUAGES = {
    "bn": "Bengali",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "ja": "Japanese",
    "ru": "Russian",
    "sw": "Swahili",
    "te": "Telugu",
    "th": "Thai",
    "zh": "Chinese",
}
PROBLEMS_A_LANGUAGE = 250
TOKENS = 2048
"""Twice GSM8K's: tokenizers cut Telugu or Thai into many more tokens than English."""


def _task(name: str, size: int, about: str) -> Task:
    return Task(
        name=name,
        data=name,
        size=size,
        about=about,
        answer="answer_number: a whole number",
        licence="CC BY-SA 4.0",
        source="google-research/url-nlp, arXiv 2210.03057",
        max_new_tokens=TOKENS,
    )


TASK = _task("mgsm", PROBLEMS_A_LANGUAGE * len(LANGUAGES), "GSM8K in eleven languages")
TASKS = (
    TASK,
    *(
        _task(f"mgsm_{code}", PROBLEMS_A_LANGUAGE, f"GSM8K in {language}")
        for code, language in LANGUAGES.items()
    ),
)
