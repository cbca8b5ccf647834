"""Everything KIMCHI refuses, as a tree. Each message gives the value, the rule, and the next step, in one paragraph.

    KimchiError                 printed as one paragraph, exit status 1
    ├── RecipeError             a recipe that cannot be read or cannot work
    ├── DataError               a delivery, archive, record file or label that cannot be used
    ├── ModelError              weights that are missing, corrupted, or do not fit together
    ├── PromptError             a prompt that asks for nothing
    ├── RequestError            a setting of one picture (steps, seed, size ...) out of its range
    ├── OutputError             a place that cannot be written
    ├── EndpointError           a model's server that is not there, or turns every request away
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


class RequestError(KimchiError):
    """A setting of one picture (steps, seed, size ...) out of its range."""


class OutputError(KimchiError):
    """A place that cannot be written."""


class EndpointError(KimchiError):
    """A model's server that is not there, or turns every request away."""


class TrainingError(KimchiError):
    """A run that must not go on."""


class StudyError(KimchiError):
    """A study, a code or an answer that cannot be accepted as it is."""
