"""English requests around a prompt: "please draw me a hanbok" asks for "a hanbok". The article stays: it belongs to the noun phrase."""

import re

_COURTESY = re.compile(
    r"(?:(?:hi|hello|hey)[,! ]+)?(?:(?:please|pls|kindly)[, ]+|(?:can|could|would|will) you +|i(?: want| would like|'d like) you to +)*", re.I
)
_VERB = re.compile(r"(draw|sketch|paint|show|give|make|create|generate|render|produce)(?: (me|us)\b)?(?: +|$)", re.I)
_WISH = re.compile(r"(?:i (?:want|would like)|i'd like|can i (?:see|have|get))(?: to see)? +", re.I)
_PICTURE = re.compile(r"(?:(?:an?|the|some|one) )?(?:picture|image|photo|photograph|drawing|illustration|pic)s?(?: (?:of|showing|with)(?: |$)|$)", re.I)
_ARTICLE = re.compile(r"(?:an?|the|some)(?: |$)", re.I)
_PLEASE_LAST = re.compile(r"(?:^|[, ]+)(?:please|pls|plz)(?:,? (?:thanks|thank you))?$", re.I)
_THANKS_LAST = re.compile(r"[, ]+(?:for (?:me|us)|thanks|thank you)$", re.I)
_CLOSING = " ~!?.,…;"


def strip_request(phrase: str) -> str | None:
    """The noun phrase inside one English request, or None when `phrase` requests nothing; it may be "".

    Args:
        phrase: NFC, white space folded.
    """
    closed = phrase.rstrip(_CLOSING)
    if last := _PLEASE_LAST.search(closed):
        return closed[: last.start()]
    start = _request_length(closed)
    if start == 0:
        return None
    rest = _THANKS_LAST.sub("", closed[start:])
    return rest[found.end() :] if (found := _PICTURE.match(rest)) else rest


def _request_length(phrase: str) -> int:
    """How many characters at the head are request. "paint bucket" and "show jumping" are things, so a bare verb needs more than itself."""
    courtesy = _COURTESY.match(phrase)
    head = courtesy.end() if courtesy else 0
    if wish := _WISH.match(phrase, head):
        return wish.end()
    verb = _VERB.match(phrase, head)
    if verb is None:
        return head if phrase[:head].lower().startswith(("please", "pls", "kindly")) else 0
    asked = head > 0 or verb.group(1).lower() == "draw" or verb.group(2) is not None
    return verb.end() if asked or _ARTICLE.match(phrase, verb.end()) or _PICTURE.match(phrase, verb.end()) else 0
