"""OpenTelemetry, for operators who name a collector: traces of calls and of rounds, and the metrics.

Nothing is sent without the setting `telemetry`, and nothing of a device is ever in it.

* `spans`: what is traced, and the only attributes that spans have
* `bridge`: the metrics as OpenTelemetry has them
* `sending`: sends both; it alone needs the extra `otel`
"""
