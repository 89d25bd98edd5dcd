"""The privacy report: what is on the device, what has left it, and what can be made of it."""

from collections import Counter
from dataclasses import dataclass

from client_sdk.reporting import languages
from client_sdk.reporting.statements import Statement, statement
from client_sdk.store.departures import MOST, UNSENT, Departure


@dataclass(frozen=True)
class PrivacyReport:
    """The data that has left the device, and what can be worked out from it. `str()` gives a text in English.

    >>> report = PrivacyReport(interactions=2, attributes=("gender",), departures=())
    >>> " ".join(statement.code for statement in report.statements)
    'items_kept attributes_kept nothing_left connections_seen training_would_reveal'
    >>> print(report.text("en").splitlines()[2])
    * What you said about yourself: gender.

    Attributes:
        interactions: number of interactions that are kept on the device.
        attributes: names of the attributes that are known on the device.
        departures: the last thousand contributions, newest first.
        profile: True if vectors of the user are kept on the device.
        measures: the measures that are in force, and those that are missing.
        enrolments: number of unmaskers that may know the device: it has asked them for a certificate.
    """

    interactions: int
    attributes: tuple[str, ...]
    departures: tuple[Departure, ...]
    profile: bool = False
    measures: tuple[Statement, ...] = ()
    enrolments: int = 0

    @property
    def exposed(self) -> dict[str, int]:
        """Number of contributions that the coordinator may have read, by attribute that they reveal."""
        counts = Counter(name for departure in self._sent if not departure.masked for name in departure.attributes)
        return dict(sorted(counts.items()))

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The whole report, a statement each: what stays, what leaves, what it reveals, and the measures."""
        return (*self._stays(), *self._leaves(), *self._inferred(), *self.measures)

    def text(self, language: str = "en") -> str:
        """Returns the report for the user, a line for each statement.

        Args:
            language: "en" or "de".

        Raises:
            UsageError: there are no texts in the language.
        """
        return languages.text(self.statements, language)

    def __str__(self) -> str:
        return self.text()

    @property
    def _sent(self) -> list[Departure]:
        return [departure for departure in self.departures if departure.outcome != UNSENT]

    def _stays(self) -> list[Statement]:
        stays = [statement("items_kept", count=self.interactions)]
        if self.attributes:
            stays.append(statement("attributes_kept", names=self.attributes))
        if self.profile:
            stays.append(statement("profile_kept"))
        return stays

    def _leaves(self) -> list[Statement]:
        enrolled = [statement("enrolment_left", count=self.enrolments)] if self.enrolments else []
        leaves = [*self._updates(), *enrolled]
        if self._sent or enrolled:
            leaves.append(statement("cannot_be_taken_back"))
        return [*leaves, statement("connections_seen")]

    def _updates(self) -> list[Statement]:
        sent = self._sent
        if not sent:
            return [statement("nothing_left")]
        kilobytes = -(-sum(departure.size for departure in sent) // 1000)
        last = sent[0].time.date().isoformat()
        leaves = [statement("updates_left", count=len(sent), kilobytes=kilobytes, last=last)]
        if refused := sum(departure.outcome == "refused" for departure in sent):
            leaves.append(statement("updates_refused", count=refused))
        if len(self.departures) >= MOST:
            leaves.append(statement("older_updates_forgotten", count=MOST))
        return leaves

    def _inferred(self) -> list[Statement]:
        masked = any(departure.masked for departure in self._sent)
        sums = [statement("sums_reveal")] if masked or self._masks else []
        if not all(departure.masked for departure in self._sent):
            revealed = [statement("attribute_revealed", name=name, count=count) for name, count in self.exposed.items()]
            return [statement("items_revealed"), statement("profile_revealed"), *revealed, *sums]
        return sums or [statement("training_would_reveal")]

    @property
    def _masks(self) -> bool:
        """Updates for the newest task are masked."""
        return any(measure.code == "sums_masked" for measure in self.measures)
