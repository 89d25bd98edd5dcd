"""The methods of the unmasker, for devices and for coordinators."""

from fedau2.v1 import unmasker_pb2
from fedau2.wire.methods import Service

ENROLMENT = Service(unmasker_pb2.DESCRIPTOR.services_by_name["EnrolmentService"])
"""The methods that devices call, and all who read the log."""

UNMASK = Service(unmasker_pb2.DESCRIPTOR.services_by_name["UnmaskService"])
"""The methods that coordinators call."""
