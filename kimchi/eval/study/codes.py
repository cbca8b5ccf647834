"""Personal codes: twenty digits that a phone's number pad types, kept only as a salted hash."""

import hashlib
import secrets
import unicodedata

DIGITS = 20
"""Nineteen drawn by lot, 63 bits, and a check digit."""
_GROUP = 4
# H. M. Damm, "Total anti-symmetrische Quasigruppen", 2004: a table that catches every wrong digit and every swap of neighbours.
_DAMM = ("0317598642", "7092154863", "4206871359", "1750983426", "6123045978", "3674209581", "5869720134", "8945362017", "9438617205", "2581436790")


def new_code() -> str:
    """A fresh code in groups of four digits: "4821 0937 5562 1184 7736"."""
    drawn = "".join(secrets.choice("0123456789") for _ in range(DIGITS - 1))
    return grouped(drawn + _check_digit(drawn))


def grouped(code: str) -> str:
    """Digits as people read them aloud."""
    return " ".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def tidy(typed: str) -> str | None:
    """What a person typed => its twenty digits; None where it is no code: another length, another sign, a slip of a digit."""
    # Full-width digits come from Korean and Japanese keyboards.
    digits = "".join(c for c in unicodedata.normalize("NFKC", typed[:200]) if not c.isspace() and c not in "-.·")
    whole = len(digits) == DIGITS and digits.isascii() and digits.isdecimal()
    return digits if whole and _check_digit(digits) == "0" else None


def hash_code(code: str, salt: bytes) -> str:
    """What is kept of a code: SHA-256 with the study's salt, so that two studies cannot be compared."""
    return hashlib.sha256(salt + b"code" + (tidy(code) or "").encode()).hexdigest()


def _check_digit(digits: str) -> str:
    state = 0
    for digit in digits:
        state = int(_DAMM[state][int(digit)])
    return str(state)
