"""The recommenders by the name that a manifest gives."""

from client_sdk.kernel import fedncf, fedrap, fedvae
from client_sdk.kernel.contract import Recommender

RECOMMENDERS: dict[str, Recommender] = {"fedncf": fedncf, "fedrap": fedrap, "fedvae": fedvae}
