from simulator.audit import registry, request


def test_the_command_line_names_the_attacks_that_there_are():
    assert tuple(registry.ATTACKS) == request.ATTACKS
