"""Numbers for Prometheus, in a registry of their own. No prompt, key or address is in any of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from kimchi import __version__

if TYPE_CHECKING:
    from kimchi.generation.engine import Engine

_STATES = ("new", "starting", "ready", "draining", "stopped", "failed")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """What one application counts."""

    def __init__(self, engine: "Engine") -> None:
        """Start at zero."""
        # When each series began is a line more for every line.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_OfEngine(engine))
        self._requests = Counter("kimchi_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry)
        self._seconds = Histogram("kimchi_request_seconds", "From a request to its answer's end.", ("route",), buckets=_SECONDS, registry=self.registry)
        self._pictures = Counter("kimchi_pictures_delivered", "Pictures that reached a client.", ("arm",), registry=self.registry)
        self._refused = Counter("kimchi_refusals", "Requests turned away.", ("code",), registry=self.registry)
        self.open = Gauge("kimchi_requests_open", "Requests being answered.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request: its route as written in the code, never the address a client typed, of which there is no end."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def delivered(self, arm: str, count: int = 1) -> None:
        """Pictures of an arm."""
        self._pictures.labels(arm).inc(count)

    def refused(self, code: str) -> None:
        """A refusal."""
        self._refused.labels(code).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)


class _OfEngine(Collector):
    """What the engine counts itself, read when Prometheus asks."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def describe(self) -> Iterator[Metric]:
        # Registering would else collect once, before there is anything.
        return iter(())

    def collect(self) -> Iterator[Metric]:
        now, state = self._engine.stats(), self._engine.state
        yield GaugeMetricFamily("kimchi_queue_waiting", "Requests that wait for their turn.", value=now.waiting)
        yield GaugeMetricFamily("kimchi_drawing", "Requests being drawn.", value=float(now.drawing))
        yield GaugeMetricFamily("kimchi_seconds_per_picture", "Moving mean.", value=now.seconds_per_picture)
        yield CounterMetricFamily("kimchi_pictures", "Pictures drawn.", value=now.pictures)
        jobs = CounterMetricFamily("kimchi_jobs", "Requests of the engine by how they ended.", labels=("end",))
        for end in ("done", "cancelled", "refused", "blocked", "failed", "late"):
            jobs.add_metric((end,), getattr(now, end))
        yield jobs
        states = GaugeMetricFamily("kimchi_engine_state", "1 for the state the engine is in.", labels=("state",))
        for name in _STATES:
            states.add_metric((name,), float(name == state))
        yield states
        if state in ("ready", "draining"):
            told = self._engine.identity
            info = GaugeMetricFamily("kimchi_model_info", "The model that is served.", labels=("model_hash", "miniature", "version"))
            info.add_metric((str(told["model_hash"]), str(told["miniature"]).lower(), __version__), 1)
            yield info
