import pytest

from client_sdk.grpc_transport import GrpcTransport


def test_a_unary_call_still_has_the_name_of_its_method():
    with GrpcTransport("127.0.0.1:1") as transport:
        assert transport.check_in == transport.call == transport.report_failure
        for name in ("upload_contribution", "fetch_resource", "anything"):
            with pytest.raises(AttributeError, match=name):
                getattr(transport, name)
