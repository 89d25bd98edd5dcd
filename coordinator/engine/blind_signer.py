"""Signs blinded messages of admissions: each once, and one at a time, since a signature takes a core's time."""

import asyncio
from collections import OrderedDict

from coordinator.errors import InvalidRequestError
from fedau2.wire.blind import PrivateKey
from fedau2.wire.errors import BlindSignatureError

MOST = 10_000
"""Most signatures that are remembered. The oldest are forgotten first."""


class BlindSigner:
    """Makes the signatures of admissions, and gives the same one again for the same message."""

    def __init__(self) -> None:
        self._made = OrderedDict[tuple[bytes, bytes], bytes]()
        self._turn = asyncio.Lock()

    async def sign(self, key: PrivateKey, blinded: bytes) -> bytes:
        """Returns the signature of a blinded message.

        Raises:
            InvalidRequestError: it is not a blinded message for this key.
        """
        of = key.modulus, blinded
        if of not in self._made:
            async with self._turn:
                if of not in self._made:  # it was made meanwhile
                    self._made[of] = await self._signed(key, blinded)
                    if len(self._made) > MOST:
                        self._made.popitem(last=False)
        return self._made[of]

    async def _signed(self, key: PrivateKey, blinded: bytes) -> bytes:
        try:
            return await asyncio.to_thread(key.sign, blinded)
        except BlindSignatureError as error:
            raise InvalidRequestError(str(error)) from error
