"""From the ids of a completion to its text."""

from collections.abc import Sequence

from mathrl.policy import Policy


def decode_completion(policy: Policy, token_ids: Sequence[int], stop: Sequence[str]) -> str:
    """Text of a completion, without the id that ended it and cut before the first stop string."""
    is_ended = bool(token_ids) and token_ids[-1] in policy.stop_ids
    written = list(token_ids[:-1] if is_ended else token_ids)
    text = str(policy.tokenizer.decode(written, skip_special_tokens=True))
    places = [place for end in stop if (place := text.find(end)) >= 0]
    return text[: min(places)] if places else text
