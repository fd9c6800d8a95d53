"""The one registry of metrics: each has one entry with type, unit, labels and meaning. Labels never hold personal data.

`/metrics` exposes them in Prometheus' text format through OpenTelemetry's SDK.
"""

from dataclasses import dataclass
from typing import Any, Literal

from opentelemetry import metrics as api
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest


@dataclass(frozen=True)
class Metric:
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[str, ...]
    meaning: str


M = Metric
REGISTRY: tuple[Metric, ...] = (
    M("relais_records_handled", "counter", "1", ("topic",), "records handled and committed"),
    M("relais_batch_seconds", "histogram", "s", ("group",), "from a poll's records to their commit"),
    M("relais_records_published", "counter", "1", ("topic",), "records acknowledged by the brokers"),
    M("relais_dead_letters", "counter", "1", ("topic",), "records that nothing could handle"),
    M("relais_retries", "counter", "1", ("group",), "batches put off because something outside was away"),
    M("relais_consumer_lag", "gauge", "1", ("group", "topic", "partition"), "records behind the end, at the last poll"),
    M("relais_messages_accepted", "counter", "1", ("lane",), "messages answered with 2xx"),
    M("relais_messages_dropped", "counter", "1", ("stage", "reason"), "messages that go no further"),
    M("relais_http_requests", "counter", "1", ("route", "status"), "requests answered"),
    M("relais_http_seconds", "histogram", "s", ("route",), "time to answer a request"),
    M(
        "relais_clicks",
        "counter",
        "1",
        ("agent", "outcome"),
        "visits to short links: taken, or lost while the brokers were away",
    ),
    M(
        "relais_conversions_refused",
        "counter",
        "1",
        ("reason",),
        "events that earn nothing: unknown currency, negative, erased",
    ),
    M(
        "relais_carrier_suspicion",
        "gauge",
        "1",
        ("carrier", "country"),
        "0 to 1: how much speaks for receipts that are made up",
    ),
    M(
        "relais_carrier_anomaly",
        "gauge",
        "1",
        ("carrier", "country", "kind"),
        "1 while delivery_fell, delays_rose or fake_receipts holds: alert on it",
    ),
    M("relais_decisions", "counter", "1", ("outcome",), "router's decisions: send, defer, drop"),
    M("relais_deferred", "gauge", "1", ("lane",), "messages that the router keeps until their moment"),
    M(
        "relais_portability_lookups",
        "counter",
        "1",
        ("source", "outcome"),
        "numbers asked for: found, unknown, late, failed, silent",
    ),
    M("relais_smpp_submits", "counter", "1", ("carrier", "class"), "submit_sm answers by class of command_status"),
    M("relais_smpp_receipts", "counter", "1", ("carrier", "state"), "receipts by state"),
    M("relais_smpp_incomplete", "counter", "1", ("carrier",), "handsets' messages told without all their parts"),
    M("relais_smpp_binds_up", "gauge", "1", ("carrier",), "binds that can carry messages"),
    M("relais_smpp_window_used", "gauge", "1", ("carrier",), "share of the window in use"),
    M("relais_smpp_unknown", "counter", "1", ("carrier",), "messages whose answer never came"),
    M(
        "relais_claims_refused",
        "counter",
        "1",
        ("carrier",),
        "records whose claim another process held or had used: repeats",
    ),
    M("relais_receipts_unmatched", "gauge", "1", (), "receipts that wait for their submission"),
    M("relais_callbacks", "counter", "1", ("outcome",), "callback attempts: delivered, retry, given_up, refused"),
    M("relais_receipts_odd", "counter", "1", ("kind",), "receipts that cannot be right or say what is known, by kind"),
    M("relais_message_retries", "counter", "1", ("reason",), "messages given back to the router by a retry policy"),
    M("relais_status_published", "counter", "1", ("status",), "states published"),
)
_BY_NAME = {metric.name: metric for metric in REGISTRY}


class Metrics:
    """The instruments of one process. An undeclared name is a KeyError at start, not a surprise on a dashboard."""

    def __init__(self, service: str) -> None:
        self._prometheus = CollectorRegistry()
        reader = PrometheusMetricReader(registry=self._prometheus)
        self._provider = MeterProvider(metric_readers=[reader], resource=Resource.create({"service.name": service}))
        self._meter = self._provider.get_meter("relais")

    def counter(self, name: str) -> api.Counter:
        return self._meter.create_counter(name, **self._about(name, "counter"))

    def gauge(self, name: str) -> api._Gauge:
        return self._meter.create_gauge(name, **self._about(name, "gauge"))

    def histogram(self, name: str) -> api.Histogram:
        return self._meter.create_histogram(name, **self._about(name, "histogram"))

    def _about(self, name: str, kind: str) -> dict[str, Any]:
        metric = _BY_NAME[name]
        if metric.kind != kind:
            raise ValueError(f"{name} is declared as a {metric.kind}")
        return {"unit": metric.unit, "description": metric.meaning}

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._prometheus)

    def close(self) -> None:
        self._provider.shutdown()
