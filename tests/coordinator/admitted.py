"""Devices and identities at a coordinator that asks for admissions."""

import secrets

from coordinator.evidence.tokens import tokens
from fedau2.v1.device_pb2 import Admission, AdmitRequest
from fedau2.wire import blind
from tests import identity_provider

AUDIENCE = "fedau2-devices"


def provider(folder):
    """Evidence by token, of an issuer whose keys are written into the folder."""
    return tokens(identity_provider.write(folder / "jwks.json"), identity_provider.ISSUER, AUDIENCE)


def token(lab_clock, user="user-1"):
    return identity_provider.token(lab_clock(), AUDIENCE, sub=user)


class Holder:
    """What a device does to be admitted."""

    def __init__(self, lab, evidence=b""):
        self.lab, self.evidence, self.blinded = lab, evidence, None

    async def key(self):
        """Returns the key of the open round."""
        response = await self.lab.check_in()
        assert response.rejection.HasField("admission"), response
        return response.rejection.admission

    async def admission(self, key=None):
        key = key or await self.key()
        if self.blinded is None or self.blinded.modulus != key.modulus:
            self.blinded = blind.blind(key.modulus, secrets.token_bytes(32))
        request = AdmitRequest(population="movies", key=key, evidence=self.evidence, blinded=self.blinded.blinded)
        response = await self.lab.coordinator.devices.admit(request)
        return Admission(message=self.blinded.message, signature=blind.finish(self.blinded, response.signature))
