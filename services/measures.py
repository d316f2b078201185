"""What this process counts about sockets, positions and the stores behind them, in its Prometheus registry.

Names and numbers only: never a position, a person or an id. `app.wiring` makes one and hands it to those who count.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LAG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """The metrics of the realtime door, the relay and telemetry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.connections = Gauge(
            "doorstep_socket_connections", "Open sockets", ("namespace", "role"), registry=registry
        )
        self.refused = Counter(
            "doorstep_socket_refused", "Connections refused", ("namespace", "code"), registry=registry
        )
        self.messages = Counter(
            "doorstep_socket_messages",
            "Messages handled",
            ("namespace", "event", "outcome"),
            registry=registry,
        )
        self.ended = Counter(
            "doorstep_socket_ended", "Sockets ended by the server", ("reason",), registry=registry
        )
        self.sent = Counter(
            "doorstep_socket_sent", "Messages sent", ("namespace", "event"), registry=registry
        )
        self.held_back = Counter(
            "doorstep_positions_held_back", "Positions a slow reader did not get", registry=registry
        )
        self.fixes = Counter("doorstep_fixes", "Fixes by verdict", ("verdict",), registry=registry)
        self.fix_to_send_s = Histogram(
            "doorstep_fix_to_send_seconds",
            "From a fix's own time to its being sent on",
            buckets=LAG_S,
            registry=registry,
        )
        self.relay_lag_s = Histogram(
            "doorstep_relay_lag_seconds",
            "From an event's time to its being sent",
            buckets=LAG_S,
            registry=registry,
        )
        self.horizon_age_s = Gauge(
            "doorstep_outbox_horizon_age_seconds", "Age of the oldest open transaction", registry=registry
        )
        self.resyncs = Counter(
            "doorstep_resyncs", "Clients told that their cursor expired", registry=registry
        )
        self.telemetry_waiting = Gauge(
            "doorstep_telemetry_waiting_rows", "Fixes not yet in PostgreSQL", registry=registry
        )
        self.telemetry_refused = Gauge(
            "doorstep_telemetry_refused_rows", "Fixes turned away by a full queue", registry=registry
        )
        self.lag_rows = Gauge(
            "doorstep_subscriber_lag_rows",
            "Rows of the outbox that a subscriber has not handled",
            ("subscriber",),
            registry=registry,
        )
        self.lag_s = Gauge(
            "doorstep_subscriber_lag_seconds",
            "Age of the oldest row that a subscriber has not handled",
            ("subscriber",),
            registry=registry,
        )
        self.dead_letters = Gauge(
            "doorstep_dead_letters", "Events that a subscriber gave up", ("subscriber",), registry=registry
        )
        self.jobs = Gauge("doorstep_jobs", "Jobs by name and status", ("name", "status"), registry=registry)
        self.job_oldest_s = Gauge(
            "doorstep_job_oldest_seconds",
            "How long the oldest job has been due",
            ("name",),
            registry=registry,
        )
        self.listen_made = Gauge(
            "doorstep_listen_connections_made", "LISTEN connections made so far", registry=registry
        )
        self.listen_up = Gauge(
            "doorstep_listen_up", "1 while the LISTEN connection stands", registry=registry
        )
        self.hot_ok = Gauge("doorstep_hot_state_ok", "1 while hot state answers", registry=registry)

    def fixes_so_far(self) -> float:
        """Count the fixes that this process has judged."""
        return sum(
            s.value
            for metric in self.fixes.collect()
            for s in metric.samples
            if s.name == "doorstep_fixes_total"
        )
