"""Every way to say no, in the shape of OpenAI's errors: {"error": {"message", "type", "param", "code"}}.

What an answer says is chosen from our own texts. An exception's own words never reach a client: they may name folders, models or keys.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from kimchi.errors import BlockedError, BusyError, CancelledError, ClosedError, KimchiError, LateError, PromptError, RequestError

from .texts import choose, fill, texts

_REQUEST, _KEY, _RATE, _SERVER = "invalid_request_error", "authentication_error", "rate_limit_error", "server_error"
STATUS: dict[str, tuple[int, str]] = {
    "invalid_json": (400, _REQUEST),
    "missing_required_parameter": (400, _REQUEST),
    "unknown_parameter": (400, _REQUEST),
    "invalid_value": (400, _REQUEST),
    "prompt_empty": (400, _REQUEST),
    "prompt_too_long": (400, _REQUEST),
    "control_characters": (400, _REQUEST),
    "content_policy_violation": (400, _REQUEST),
    "arm_unavailable": (400, _REQUEST),
    "bad_request": (400, _REQUEST),
    "missing_api_key": (401, _KEY),
    "invalid_api_key": (401, _KEY),
    "foreign_origin": (403, _REQUEST),
    "model_not_found": (404, _REQUEST),
    "not_found": (404, _REQUEST),
    "picture_gone": (404, _REQUEST),
    "method_not_allowed": (405, _REQUEST),
    "body_too_slow": (408, _REQUEST),
    "body_too_large": (413, _REQUEST),
    "rate_limit_exceeded": (429, _RATE),
    "queue_full": (429, _RATE),
    "server_error": (500, _SERVER),
    "not_ready": (503, _SERVER),
    "draining": (503, _SERVER),
    "engine_failed": (503, _SERVER),
    "too_many_connections": (503, _SERVER),
    "timeout": (504, _SERVER),
}
"""Code => status and type."""
_SOON_S = 5
"""When to come back where nothing better is known, seconds."""
_SETTINGS = {"size_px": "size", "negative": "negative_prompt", "prompts": "prompt"}
"""What the engine calls a setting => what a client calls it."""
_PARAMS = frozenset(("prompt", "n", "size", "seed", "steps", "guidance", "negative_prompt"))


class Refusal(Exception):
    """A request that is turned away."""

    def __init__(self, code: str, param: str | None = None, *, retry_after_s: float | None = None, allow: str = "", **values: object) -> None:
        """Choose what is said.

        Args:
            code: of STATUS; the text of the same key is the message.
            param: the field that is at fault.
            retry_after_s: seconds after which to try again.
            allow: methods that an address takes.
            values: for the braces of the text.
        """
        super().__init__(code)
        self.code, self.param = code, param
        self.status, self.type = STATUS[code]
        self.values = values
        self.headers = _headers(code, retry_after_s, allow)

    def body(self, language: str, shared: Mapping[str, object]) -> dict[str, Any]:
        """The answer, in a language; `shared` fills the braces that this refusal does not."""
        said = texts(language)
        values = {**shared, "param": self.param or "", "seconds": self.headers.get("Retry-After", str(_SOON_S)), **self.values}
        values["rule"] = fill(said.get(f"rule_{self.param}", said["rule_other"]), values)
        return {"error": {"message": fill(said[self.code], values).strip(), "type": self.type, "param": self.param, "code": self.code}}


def _headers(code: str, retry_after_s: float | None, allow: str) -> dict[str, str]:
    headers: dict[str, str] = {"Allow": allow} if allow else {}
    status = STATUS[code][0]
    if retry_after_s is not None or status in (429, 503):
        # Whole seconds, and never 0, which some clients take for "at once, for ever".
        headers["Retry-After"] = str(max(1, math.ceil(_SOON_S if retry_after_s is None else min(retry_after_s, 3600))))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (408, 413):
        # What is still under way belongs to a request that was answered.
        headers["Connection"] = "close"
    return headers


def refuse(error: KimchiError, *, state: str, timeout_s: float) -> Refusal:
    """What a client is told of an error of the engine.

    Args:
        state: of the engine.
        timeout_s: what a picture was given.
    """
    match error:
        case BlockedError():
            return Refusal("content_policy_violation", "prompt")
        case PromptError():
            return Refusal("prompt_empty", "prompt")
        case RequestError():
            # Such messages begin with the setting's name; the rest of them is for the command line.
            first = str(error).split(" ", 1)[0].rstrip(":")
            param = _SETTINGS.get(first, first)
            return Refusal("invalid_value", param if param in _PARAMS else "prompt")
        case BusyError():
            return Refusal("queue_full", retry_after_s=error.retry_after_s)
        case LateError():
            return Refusal("timeout", limit=f"{timeout_s:g}")
        case ClosedError() | CancelledError():
            return closed(state)
        case _:
            return Refusal("engine_failed")


def closed(state: str) -> Refusal:
    """Why an engine in this state takes no work."""
    return Refusal({"new": "not_ready", "starting": "not_ready", "failed": "engine_failed"}.get(state, "draining"))


def raw(code: str, *, language: str = "en", **values: object) -> bytes:
    """A whole HTTP response, for connections on which no request can be read."""
    refusal = Refusal(code)
    content = json.dumps(refusal.body(language, values), ensure_ascii=False).encode()
    phrase = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 503: "Service Unavailable"}[refusal.status]
    head = [f"HTTP/1.1 {refusal.status} {phrase}", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    head += [f"{name}: {value}" for name, value in refusal.headers.items() if name != "Connection"]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + content


def language_of(headers: Mapping[str, str]) -> str:
    """In which language a client is answered."""
    return choose(headers.get("accept-language", ""))
