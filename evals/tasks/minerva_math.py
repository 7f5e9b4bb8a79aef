"""Task ``minerva_math``: undergraduate problems of MIT OpenCourseWare, arXiv 2206.14858.

    mathrl eval --task minerva_math --model MODEL

Nine courses, from astronomy to differential equations; the course is the subject. Answers are
numbers without their units, expressions and equations. No figure is quoted: those we found differ
in prompt and grader.
"""

from mathrl.evals.tasks.base import Task

TASK = Task(
    name="minerva_math",
    data="minerva_math",
    size=272,
    about="undergraduate science, 9 courses",
    answer="answer: a number, an expression or an equation",
    licence="CC BY-NC-SA (OCW)",
    source="MIT OpenCourseWare, arXiv 2206.14858",
    max_new_tokens=4096,
)
