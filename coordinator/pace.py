"""Pace steering: when devices are asked to come back."""

from google.protobuf.duration_pb2 import Duration

from fedau2.v1.task_pb2 import RetryWindow


def _window(least: float, most: float) -> RetryWindow:
    return RetryWindow(delay_min=duration(least), delay_max=duration(most))


def duration(seconds: float) -> Duration:
    """Seconds as a message, to the microsecond."""
    message = Duration()
    message.FromMicroseconds(round(seconds * 1e6))
    return message


CLOSING = _window(0.01, 0.1)
"""The server step is under way; the next round opens as soon as it is done."""

FULL = _window(1, 10)
"""All places are taken; one comes free when a lease ends or the round closes."""

NEXT = _window(1, 10)
"""After a contribution: the next round."""

IDLE = _window(60, 600)
"""The population has no running task."""
