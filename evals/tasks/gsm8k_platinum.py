"""Task ``gsm8k-platinum``: the test set of GSM8K without its wrong and unclear problems.

    mathrl eval --task gsm8k-platinum --model MODEL

Read again by hand wherever a strong model disagreed with the known answer (arXiv 2502.03461): 110
problems are gone and some answers corrected, so what is left of the errors is the model's. The
corrections are CC BY-SA 4.0, GSM8K itself is MIT. No figure is quoted: none was found with an open
model and its prompt.
"""

from mathrl.evals.tasks.base import Task
from mathrl.evals.tasks.gsm8k import GRADE_SCHOOL_TOKENS

TASK = Task(
    name="gsm8k-platinum",
    data="gsm8k-platinum",
    size=1209,
    about="GSM8K, its test set corrected",
    answer="answer, what follows its last ####: a whole number",
    licence="CC BY-SA 4.0, MIT",
    source="madrylab/gsm8k-platinum, arXiv 2502.03461",
    max_new_tokens=GRADE_SCHOOL_TOKENS,
)
