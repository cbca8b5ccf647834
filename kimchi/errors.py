"""Everything KIMCHI refuses, as a tree. Each message gives the value, the rule, and the next step, in one paragraph.

    KimchiError                 printed as one paragraph, exit status 1
    ├── RecipeError             a recipe that cannot be read or cannot work
    ├── DataError               a delivery, archive, record file or label that cannot be used
    ├── ModelError              weights that are missing, corrupted, or do not fit together
    ├── PromptError             a prompt that asks for nothing
    │   └── BlockedError        a prompt that this place does not draw
    ├── RequestError            a setting of one picture (steps, seed, size ...) out of its range
    ├── OutputError             a place that cannot be written
    ├── EndpointError           a model's server that is not there, or turns every request away
    ├── EngineError             work that the engine cannot take, or did not finish
    │   ├── BusyError           its queue is full; try again in retry_after_s
    │   ├── ClosedError         it is starting, draining or stopped
    │   ├── LateError           it took longer than it was given
    │   ├── LostError           the process that drew it has ended; another is started
    │   └── CancelledError      nobody wanted it any more
    ├── ServeError              a server that cannot start as it was told to
    ├── TrainingError           a run that must not go on (NaN loss, an empty data set)
    └── StudyError              a study, a code or an answer that cannot be accepted as it is

Anything else that escapes is a bug and shows its traceback.
"""


class KimchiError(Exception):
    """Base of everything a user can mend."""


class RecipeError(KimchiError):
    """A recipe that cannot be read or cannot work."""


class DataError(KimchiError):
    """A delivery, archive, record file or label that cannot be used."""


class ModelError(KimchiError):
    """Weights that are missing, corrupted, or do not fit together."""


class PromptError(KimchiError):
    """A prompt that asks for nothing."""


class BlockedError(PromptError):
    """A prompt that this place does not draw."""

    def __init__(self, message: str, category: str = "") -> None:
        """Say so without the word.

        Args:
            category: of the blocklist, for the staff; empty where a picture was refused.
        """
        super().__init__(message)
        self.category = category


class RequestError(KimchiError):
    """A setting of one picture (steps, seed, size ...) out of its range."""


class OutputError(KimchiError):
    """A place that cannot be written."""


class EndpointError(KimchiError):
    """A model's server that is not there, or turns every request away."""


class EngineError(KimchiError):
    """Work that the engine cannot take, or did not finish."""


class BusyError(EngineError):
    """The queue is full."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        """Say when to come back.

        Args:
            retry_after_s: seconds after which a place should be free.
        """
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClosedError(EngineError):
    """The engine is starting, draining or stopped, and takes no work."""


class LateError(EngineError):
    """The work took longer than it was given."""


class LostError(EngineError):
    """The process that draws has ended, with what it was drawing; another one is started."""


class CancelledError(EngineError):
    """Whoever asked for the work does not want it any more."""


class ServeError(KimchiError):
    """A server that cannot start as it was told to: a port that is taken, a setting out of range, a file of keys that cannot be read."""


class TrainingError(KimchiError):
    """A run that must not go on."""


class StudyError(KimchiError):
    """A study, a code or an answer that cannot be accepted as it is."""
