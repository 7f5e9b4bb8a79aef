r"""Cut a completion down to what the model answers for itself: after its thoughts, in its own turn.

Thinking counts for nothing, in whatever tags it stands; nor does what a model writes in the name of
others (a next question, a user, a reference answer), nor comments that no reader sees.
"""

import re

from mathrl.rewards.normalise import fold_unicode
from mathrl.rewards.policy import Policy

_MAX_READ = 400_000
"""Characters that are searched for the end of the thinking."""
_THINK_TAG = re.compile(
    r"<\s*(/?)\s*(?:think|thinking|thought|thoughts|reasoning|scratchpad|reflection|seed:think)\s*>"
    r"|\[(/?)THINK\]|\u25c1(/?)think\u25b7|<\|(begin|end)_of_thought\|>",
    re.IGNORECASE,
)
_HARMONY_FINAL = "<|channel|>final<|message|>"
_TURN_TAG = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eot|eos|end_of_text|endoftext|endofprompt|end|start_header_id"
    r"|eom_id|return|user|assistant|system|END_OF_TURN_TOKEN|START_OF_TURN_TOKEN)\|>|</?s>|<eos>"
    r"|<\uff5c[^\uff5c<>]{1,40}\uff5c>|</?(?:end|start)_of_turn>|\[/?INST\]|\[/?(?:USER|SYSTEM)\]"
    r"|</?(?:user|human|system)>",
    re.IGNORECASE,
)
_TURN_LINE = re.compile(
    r"\n[ \t*]{0,4}(?:Human|HUMAN|User|USER|System|Teacher|Grader|Judge|Reference(?: [Ss]olution"
    r"| [Aa]nswer)?|Ground [Tt]ruth|### ?(?:Instruction|Question|Problem|User|Human))\s{0,2}\**:"
)
"""Where the model's own turn ends: at a tag of a chat template, or at another speaker's line."""
_NEXT_PROBLEM = re.compile(r"\n[ \t]{0,4}(?:Question|Problem|Q)\s{0,2}:")
_NEW_PROBLEM = re.compile(r"\n[ \t]{0,4}\n[ \t]{0,4}(?:Question|Problem|Q)\s{0,2}:")
_ANSWERED = re.compile(r"answer|boxed|####", re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|```(?:python|py|cpp|java|javascript)\b.*?(?:```|\Z)"
    r"|\\begin\{verbatim\}.*?(?:\\end\{verbatim\}|\Z)"
    r"|\\iffalse\b.*?(?:\\fi\b|\Z)|\\begin\{comment\}.*?(?:\\end\{comment\}|\Z)"
    r"|(?m:^[ \t]*%[^\n]*$)|\\verb(?P<mark>[|!+])[^\n]*?(?:(?P=mark)|$)",
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
    if "<" in text or "HINK]" in text or "hink]" in text or "\u25c1" in text:
        answer = _after_thinking(text, policy)
        if answer is None:
            return None, "the thinking is not closed, or closed more than once"
        text = answer
    text = text[-policy.max_characters :]
    text = _own_turn(text)
    if _may_hide(text):
        text = _UNSEEN.sub(" ", text)
    return text, ""


def _may_hide(text: str) -> bool:
    """Look for the marks of what no reader sees, quickly: most texts have none."""
    return (
        "```" in text
        or "<!--" in text
        or "\\verb" in text
        or "{verb" in text
        or "{comment" in text
        or "\\iffalse" in text
        or "\n%" in text
        or text.startswith("%")
    )


def _after_thinking(text: str, policy: Policy) -> str | None:
    lowered = text.lower()
    if "<|channel|>" in lowered:
        return text.rpartition(_HARMONY_FINAL)[2] if _HARMONY_FINAL in lowered else None
    has_tags = (
        "think" in lowered
        or "thought" in lowered
        or "<reason" in lowered
        or "<scratch" in lowered
        or "<reflect" in lowered
    )
    if not has_tags:
        return text
    start, closings, opened = 0, 0, None
    for tag in _THINK_TAG.finditer(text):
        if "/" in tag.groups("") or tag[4] == "end":
            start, closings, opened = tag.end(), closings + 1, None
        elif opened is None:
            opened = tag.start()
    if policy.is_conflict_refused and closings > 1:
        return None
    answer = text[start:opened] if opened is not None and opened >= start else text[start:]
    return answer if opened is None or answer.strip() else None


def _own_turn(text: str) -> str:
    """Cut off what a model writes in the name of others."""
    if _has_tags(text) and (end := _TURN_TAG.search(text)) and text[: end.start()].strip():
        text = text[: end.start()]
    if (end := _TURN_LINE.search(text)) and text[: end.start()].strip():
        text = text[: end.start()]
    if (end := _NEXT_PROBLEM.search(text)) is None:
        return text
    if _ANSWERED.search(text, 0, end.start()):
        return text[: end.start()]
    end = _NEW_PROBLEM.search(text)
    return text[: end.start()] if end and _DIGIT.search(text, 0, end.start()) else text


def _has_tags(text: str) -> bool:
    """Look for the beginnings of template tags, quickly: most texts have none."""
    if "<" in text and (
        "<|" in text or "s>" in text or "_turn" in text or "<\uff5c" in text or "r>" in text
    ):
        return True
    return "INST]" in text or "USER]" in text or "SYSTEM]" in text or "n>" in text or "m>" in text
