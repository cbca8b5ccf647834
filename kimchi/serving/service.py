"""What all requests share, and what is asked of each before it reaches the engine."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest

from kimchi.errors import ClosedError, KimchiError
from kimchi.generation.engine import Request, Ticket

from .keys import Keys
from .metrics import Metrics
from .pace import Pace
from .pictures import Pictures
from .refusals import Refusal, closed, refuse
from .settings import Settings

if TYPE_CHECKING:
    from kimchi.generation.engine import Engine


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as limits go."""

    name: str
    """A key's name or an address, each with a prefix that keeps them apart."""
    rate_per_minute: int
    """Pictures a minute; 0 for no limit."""


class Service:
    """The state of a running server. None of it must outlive the process: replicas behind a balancer know nothing of each other."""

    def __init__(self, engine: "Engine", settings: Settings) -> None:
        """Take an engine in hand; the application starts it.

        Raises:
            ServeError: the file of keys cannot be read.
        """
        self.engine, self.settings = engine, settings
        self.keys = Keys(settings.keys_file, settings.api_keys)
        self.pace = Pace()
        self.pictures = Pictures(settings.url_bytes, settings.url_s)
        self.metrics = Metrics(engine)

    @property
    def identity(self) -> dict[str, Any]:
        """What the engine says of its model; {} until it is loaded."""
        try:
            return self.engine.identity
        except ClosedError:
            return {}

    @property
    def model_hash(self) -> str:
        """16 hex digits; "" until the model is loaded."""
        return str(self.identity.get("model_hash", ""))

    @property
    def max_size_px(self) -> int:
        """Longest side that may be asked for, pixels."""
        return self.settings.max_size_px or min(2048, 2 * int(self.identity.get("size_px", 1024)))

    def values(self) -> dict[str, object]:
        """For the braces of the texts."""
        chosen, side = self.settings, self.identity.get("size_px", 512)
        named = {"prompt_chars": chosen.prompt_chars, "max_n": chosen.max_n, "max_steps": chosen.max_steps}
        return {**named, "max_size_px": self.max_size_px, "example": f"{side}x{side}", "limit": chosen.prompt_chars, "request": "-"}

    async def submit(self, request: Request, caller: Caller) -> Ticket:
        """Hand work to the engine, off the event loop: its checks may take longer than a health check may wait.

        Raises:
            Refusal: the caller has had enough for this minute, or the engine does not take it.
        """
        if self.engine.state != "ready":
            raise closed(self.engine.state)
        pictures = len(request.prompts) * len(request.arms)
        wait = self.pace.take(caller.name, pictures, caller.rate_per_minute)
        if wait:
            raise Refusal("rate_limit_exceeded", retry_after_s=wait, limit=caller.rate_per_minute)
        try:
            return await run_in_threadpool(self.engine.submit, request)
        except KimchiError as error:
            self.pace.give_back(caller.name, pictures)
            raise self.refusal(error) from error

    def refusal(self, error: KimchiError) -> Refusal:
        """What a client is told of an error of the engine."""
        return refuse(error, state=self.engine.state, timeout_s=self.settings.timeout_s)


def service_of(request: HttpRequest) -> Service:
    """The service of the application that a request came to."""
    return request.app.state.service
