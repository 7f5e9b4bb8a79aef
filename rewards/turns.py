r"""Cut a completion down to what the model answers for itself: after its thoughts, in its own turn.

Thinking counts for nothing, in whatever tags it stands; nor does what a model writes in the name of
others (a next question, a user, a reference answer), nor comments that no reader sees.
"""

import re

from mathrl.rewards.normalise import fold_unicode
from mathrl.rewards.policy import Policy

_MAX_READ = 400_000
"""Characters that are searched for the end of the thinking."""
# Each pattern here begins with a literal character or a few, which `re` looks for many times
# faster than it tries alternatives: most texts hold none.
_MARKUP = re.compile(r"<\s*+/?+\s*+[A-Za-z|]")
_THINK_TAG = re.compile(
    r"<(?:\s*+(/?+)\s*+(?:think|thinking|thoughts?|reasoning|scratchpad|reflection|seed:think)\s*>"
    r"|\|(begin|end)_of_thought\|>)",
    re.IGNORECASE,
)
_THINK_BRACKET = re.compile(r"\[(/?)THINK\]", re.IGNORECASE)
_THINK_TRIANGLE = re.compile(r"\u25c1(/?)think\u25b7")
_HARMONY_FINAL = "<|channel|>final<|message|>"
_TURN_TAG = re.compile(
    r"<(?:\|(?:im_end|im_start|eot_id|eot|eos|end_of_text|endoftext|endofprompt|end|return|eom_id"
    r"|start_header_id|user|assistant|system|END_OF_TURN_TOKEN|START_OF_TURN_TOKEN"
    r"|[a-z]{1,20}\u2581[^|<>]{1,40})\|>|/?s>|eos>|/?(?:end|start)_of_turn>|/?(?:user|human|system)>)",
    re.IGNORECASE,
)
_TURN_BRACKET = re.compile(r"\[/?(?:INST|USER|SYSTEM)\]", re.IGNORECASE)
_TURN_LINE = re.compile(
    r"\n[ \t*]{0,4}(?:Human|HUMAN|User|USER|System|Teacher|Grader|Judge|Reference(?: [Ss]olution"
    r"| [Aa]nswer)?|Ground [Tt]ruth|### ?(?:Instruction|Question|Problem|User|Human))\s{0,2}\**:"
)
"""Where the model's own turn ends: at a tag of a chat template, or at another speaker's line."""
_SPEAKER = re.compile(r"\n[ \t*]{0,4}[HUSTGJRQP#][a-zA-Z]{0,10}[:*#\s]")
_NEXT_PROBLEM = re.compile(r"\n[ \t]{0,4}(?:Question|Problem|Q)\s{0,2}:")
_NEW_PROBLEM = re.compile(r"\n[ \t]{0,4}\n[ \t]{0,4}(?:Question|Problem|Q)\s{0,2}:")
_ANSWERED = re.compile(r"answer|boxed|####", re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|```(?:python|py|cpp|java|javascript)\b[^`]*+(?:`(?!``)[^`]*+)*+(?:```)?"
    r"|\\begin\{verbatim\}.*?(?:\\end\{verbatim\}|\Z)"
    r"|\\iffalse\b.*?(?:\\fi\b|\Z)|\\begin\{comment\}.*?(?:\\end\{comment\}|\Z)"
    r"|\n[ \t]*%[^\n]*|\\verb(?P<mark>[|!+])[^\n]*?(?:(?P=mark)|(?=\n)|\Z)",
    re.DOTALL,
)


def own_text(completion: str, policy: Policy) -> tuple[str | None, str]:
    """Give the part of a completion that may hold its answer.

    Args:
        completion: What the model wrote; anything is allowed.
        policy: How much of it is read, and whether thinking may be closed twice.

    Returns:
        The text, Unicode folded, or None and the reason why nothing counts.
    """
    text = completion[-_MAX_READ:]
    if not text.isascii():
        text = fold_unicode(text)
        text = _THINK_TRIANGLE.sub(r"<\1think>", text)
    if "[" in text:
        text = _THINK_BRACKET.sub(r"<\1think>", text)
    if "<" in text and _MARKUP.search(text):
        answer = _after_thinking(text, policy)
        if answer is None:
            return None, "the thinking is not closed, or closed more than once"
        text = _before(_TURN_TAG, answer)
    text = _own_turn(text[-policy.max_characters :])
    if _may_hide(text):
        text = _UNSEEN.sub(" ", f"\n{text}")[1:]
    return text, ""


def _may_hide(text: str) -> bool:
    """Look for the marks of what no reader sees, the commonest letter of each first."""
    return (
        ("`" in text and "```" in text)
        or ("<" in text and "<!--" in text)
        or ("%" in text and ("\n%" in text or " %" in text or "\t%" in text or text[0] == "%"))
        or ("\\" in text and ("\\verb" in text or "\\iffalse" in text or _has_environment(text)))
    )


def _has_environment(text: str) -> bool:
    return "\\begin" in text and ("{verbatim" in text or "{comment" in text)


def _after_thinking(text: str, policy: Policy) -> str | None:
    if "<|channel|>" in text:
        return text.rpartition(_HARMONY_FINAL)[2] if _HARMONY_FINAL in text else None
    start, closings, opened = 0, 0, None
    for tag in _THINK_TAG.finditer(text):
        if "/" in tag.groups("") or tag[2] == "end":
            start, closings, opened = tag.end(), closings + 1, None
        elif opened is None:
            opened = tag.start()
    if policy.is_conflict_refused and closings > 1:
        return None
    answer = text[start:opened] if opened is not None and opened >= start else text[start:]
    return answer if opened is None or answer.strip() else None


def _own_turn(text: str) -> str:
    """Cut off what a model writes in the name of others."""
    text = _before(_TURN_BRACKET, text) if "[" in text else text
    if _SPEAKER.search(text) is None:
        return text
    text = _before(_TURN_LINE, text)
    if (end := _NEXT_PROBLEM.search(text)) is None:
        return text
    if _ANSWERED.search(text, 0, end.start()):
        return text[: end.start()]
    end = _NEW_PROBLEM.search(text)
    return text[: end.start()] if end and _DIGIT.search(text, 0, end.start()) else text


def _before(mark: re.Pattern[str], text: str) -> str:
    """Give what stands before the first mark, or all where nothing does."""
    found = mark.search(text)
    return text[: found.start()] if found and text[: found.start()].strip() else text
