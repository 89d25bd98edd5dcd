from tests.simulator.watched import draw, few_steps, found

__all__ = ["draw", "few_steps", "found"]
