"""Known data sets on the hub: where each is, and how a row of theirs becomes a row of ours.

A row of ours has a question and an answer in one of the usual columns, and ``solution``,
``subject`` and ``level`` where the data set has them. What is read here was checked against the
data sets' own cards, or against the code of the harnesses that load them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mathrl.errors import DataError
from mathrl.tables import Row, import_extra

MGSM_LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")

Columns = dict[str, Any]  # a column holds whatever the data set put there


def as_it_is(row: Columns) -> Columns:
    """Leave a row whose columns have usual names."""
    return row


@dataclass(frozen=True, kw_only=True, slots=True)
class HubDataset:
    """Where a known data set is on the hub and how it is read."""

    hub_id: str = ""
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"test": "test"})
    """Our split names to the hub's."""
    id_form: str = ""
    """A problem's id from the columns of its row and ``{number}``; empty where rows have none."""
    read: Callable[[Columns], Columns | None] = as_it_is
    """From a row of theirs to one of ours; None leaves the row out."""
    parts: tuple[str, ...] = ()
    """Known data sets of which this one is the sum; it has no rows of its own."""


def hub_rows(source: HubDataset, name: str, split: str) -> Iterator[Row]:
    """Read a split of a hub data set row by row.

    Args:
        source: Where it is.
        name: What the user called it, for messages.
        split: One of ours.

    Raises:
        DataError: There is no such split, the hub is out of reach, or a column is missing.
        MissingExtraError: The package ``datasets`` is not installed.
    """
    if split not in source.splits:
        raise DataError(f"{name} has the split {', '.join(source.splits)}, not {split!r}")
    for part in source.parts:
        yield from hub_rows(KNOWN[part], part, split)
    if source.parts:
        return
    for number, columns in enumerate(_load(source, name, split)):
        place = f"{name}/{split} row {number}"
        try:
            row = source.read(dict(columns))
            if row is not None and source.id_form:
                row["id"] = source.id_form.format_map({**columns, "number": number})
        except KeyError as error:
            raise DataError(
                f"{place}: {source.hub_id} has no column {error}; it has {', '.join(columns)}"
            ) from error
        if row is not None:
            yield place, row


def _load(source: HubDataset, name: str, split: str) -> Any:  # Any: datasets has no types
    datasets = import_extra("datasets", f"loading {name}")
    try:
        return datasets.load_dataset(source.hub_id, source.config, split=source.splits[split])
    # RuntimeError is what it raises for data sets that come as a script, which it no longer runs
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"cannot load {source.hub_id} from the hub ({reason});"
            " without a network give a local file, for example --data problems.jsonl"
        ) from error


def _two_part_question(row: Columns, body: str, question: str) -> str:
    """Join what is told and what is asked; what is told may lack its full stop."""
    told = row[body].strip()
    return f"{told}{'' if told.endswith(('.', '?', '!')) else '.'} {row[question].strip()}"


def _svamp(row: Columns) -> Columns:
    question = _two_part_question(row, "Body", "Question")
    return {
        "problem": question,
        "answer": row["Answer"],
        "solution": row["Equation"],
        "subject": row["Type"],
    }


def _asdiv(row: Columns) -> Columns | None:
    """Drop the problems with several answers, as the harnesses that quote ASDiv do, and units."""
    if ";" in row["answer"]:
        return None
    return {
        "problem": _two_part_question(row, "body", "question"),
        "answer": row["answer"].partition("(")[0].strip(),
        "solution": row["formula"],
        "subject": row["solution_type"],
    }


def _gsm_hard(row: Columns) -> Columns:
    return {"problem": row["input"], "answer": row["target"], "solution": row["code"]}


def _olympiadbench(row: Columns) -> Columns:
    return {**row, "solution": "\n\n".join(row["solution"] or ())}


def _mgsm(language: str, row: Columns) -> Columns:
    # the column "answer" is empty in the test split
    return {"problem": row["question"], "answer": row["answer_number"], "subject": language}


_ENGLISH_TEXT_PROBLEMS = "OE_TO_maths_en_COMP"  # open-ended, text only, from competitions

KNOWN: Mapping[str, HubDataset] = {
    "gsm8k": HubDataset(
        hub_id="openai/gsm8k", config="main", splits={"train": "train", "test": "test"}
    ),
    "gsm8k-platinum": HubDataset(hub_id="madrylab/gsm8k-platinum", config="main"),
    "gsm_hard": HubDataset(
        hub_id="reasoning-machines/gsm-hard",
        splits={"test": "train"},  # the hub calls its only split train
        read=_gsm_hard,
    ),
    "svamp": HubDataset(
        hub_id="ChilleD/SVAMP",
        splits={"test": "train+test"},  # published figures are on all 1000
        id_form="svamp/{ID}",
        read=_svamp,
    ),
    "asdiv": HubDataset(hub_id="EleutherAI/asdiv", splits={"test": "validation"}, read=_asdiv),
    "math": HubDataset(
        hub_id="DigitalLearningGmbH/MATH-lighteval",
        splits={"train": "train", "test": "test"},
    ),
    "math500": HubDataset(hub_id="HuggingFaceH4/MATH-500", id_form="{unique_id}"),
    "minerva_math": HubDataset(hub_id="math-ai/minervamath"),
    "olympiadbench": HubDataset(
        hub_id="Hothan/OlympiadBench",
        config=_ENGLISH_TEXT_PROBLEMS,
        splits={"test": "train"},
        id_form="olympiadbench/{id}",
        read=_olympiadbench,
    ),
    "amc23": HubDataset(hub_id="math-ai/amc23"),
    "aime24": HubDataset(
        hub_id="HuggingFaceH4/aime_2024", splits={"test": "train"}, id_form="aime24/{id}"
    ),
    "aime25": HubDataset(hub_id="math-ai/aime25", id_form="aime25/{id}"),
    **{
        f"mgsm_{language}": HubDataset(
            hub_id="juletxara/mgsm",
            config=language,
            id_form=f"mgsm_{language}/{{number}}",
            read=partial(_mgsm, language),
        )
        for language in MGSM_LANGUAGES
    },
    "mgsm": HubDataset(parts=tuple(f"mgsm_{language}" for language in MGSM_LANGUAGES)),
}
