"""The texts of privacy reports in German. The module `languages` says how they are written."""

from client_sdk.reporting.statements import StatementKind

HEADINGS = {
    StatementKind.STAYS: "Was auf diesem Gerät bleibt",
    StatementKind.LEAVES: "Was dieses Gerät verlässt",
    StatementKind.INFERRED: "Was der Betreiber des Servers herausfinden kann",
    StatementKind.MEASURE: "Was Sie schützt und was nicht",
}

TEXTS: dict[str, tuple[str, ...]] = {
    "items_kept": (
        "Die Liste dessen, was Sie in dieser App genutzt haben: {count} Eintrag.",
        "Die Liste dessen, was Sie in dieser App genutzt haben: {count} Einträge.",
    ),
    "attributes_kept": ("Was Sie über sich angegeben haben: {names}.",),
    "profile_kept": ("Das Profil Ihres Geschmacks, das diese App gelernt hat.",),
    "nothing_left": (
        "Diese App erinnert sich an nichts, was aus Ihren Daten berechnet wurde und dieses Gerät verlassen hat.",
    ),
    "updates_left": (
        "{count} Beitrag, der aus Ihren Daten berechnet wurde, ist ganz oder teilweise gesendet worden: "
        "{kilobytes} kB, am {last}.",
        "{count} Beiträge, die aus Ihren Daten berechnet wurden, sind ganz oder teilweise gesendet worden: "
        "{kilobytes} kB, der letzte am {last}.",
    ),
    "updates_refused": (
        "{count} davon wurde abgelehnt. Er kann trotzdem angekommen sein.",
        "{count} davon wurden abgelehnt. Sie können trotzdem angekommen sein.",
    ),
    "older_updates_forgotten": (
        "Nur der letzte Beitrag ({count}) ist hier vermerkt. Auch ältere wurden gesendet.",
        "Nur die letzten {count} Beiträge sind hier vermerkt. Auch ältere wurden gesendet.",
    ),
    "enrolment_left": (
        "{count} anderer Server, ein Unmasker, hat einen Schlüssel dieses Geräts, die Adresse Ihres "
        "Internetanschlusses und den Nachweis der App erhalten, etwa eine Anmeldung oder eine Einladung. Oder er kann "
        "sie erhalten haben.",
        "{count} andere Server, die Unmasker sind, haben einen Schlüssel dieses Geräts, die Adresse Ihres "
        "Internetanschlusses und den Nachweis der App erhalten, etwa eine Anmeldung oder eine Einladung. Oder sie "
        "können sie erhalten haben.",
    ),
    "cannot_be_taken_back": (
        "Was gesendet wurde, lässt sich nicht zurückholen, auch nicht, wenn Sie Ihre Daten hier löschen.",
    ),
    "connections_seen": (
        "Immer wenn diese App den Server anspricht, sieht er die Uhrzeit und die Adresse Ihres Internetanschlusses.",
    ),
    "training_would_reveal": (
        "Wenn diese App am Training teilnimmt, kann der Betreiber aus einem Beitrag herausfinden, was Sie in dieser "
        "App genutzt haben, welchen Geschmack Sie haben und was Sie über sich angegeben haben.",
    ),
    "items_revealed": (
        "Aus jedem Beitrag: was Sie in dieser App genutzt haben, bestenfalls unter zufällig gewählten Einträgen.",
    ),
    "profile_revealed": ("Aus jedem Beitrag: das Profil Ihres Geschmacks.",),
    "attribute_revealed": (
        "Aus {count} Beitrag: {name}. Ein Beitrag kann dafür genügen.",
        "Aus {count} Beiträgen: {name}. Ein Beitrag kann dafür genügen, und einige Dutzend lassen kaum einen Zweifel.",
    ),
    "sums_reveal": (
        "Aus maskierten Beiträgen: nichts aus einem allein. Ihre Summen können etwas über Sie verraten, und viele "
        "Summen verraten mehr.",
    ),
    "no_name_sent": ("Beiträge enthalten keinen Namen, kein Konto und keine Nummer dieses Geräts.",),
    "transfers_encrypted": ("Übertragungen sind verschlüsselt, sodass andere im Netz sie nicht lesen können.",),
    "transfers_not_encrypted": ("Diese App verschlüsselt ihre Übertragungen nicht.",),
    "publishers_checked": ("Diese App trainiert nur mit Programmen von Herausgebern, die sie kennt.",),
    "publishers_not_checked": ("Diese App trainiert mit jedem Programm, das der Server schickt.",),
    "unlearning": (
        "Das Training wirkt Spuren davon im Profil auf diesem Gerät entgegen: {names}. Vor dem Betreiber verbirgt es "
        "das nicht.",
    ),
    "noise": ("Dem Teil eines Beitrags, der am meisten hierüber verrät, wird Zufallsrauschen beigefügt: {names}.",),
    "cover_items": ("Jedem Beitrag werden zur Tarnung Einträge beigefügt, die Sie nicht genutzt haben.",),
    "sums_masked": (
        "Beiträge zum jetzigen Training sind maskiert: Der Server erhält die Summe der Beiträge von mindestens "
        "{minimum} Geräten und keinen einzelnen.",
    ),
    "sums_trusted": (
        "Wer sowohl den Server als auch den Unmasker betreibt oder eine App verbreitet, die lügt, kann einzelne "
        "Beiträge lesen. Der Unmasker sieht unter einem Pseudonym, an welchen Runden dieses Gerät teilnimmt.",
    ),
    "sums_participations": (
        "Bisher kann {count} maskierter Beitrag dieses Geräts in Summen sein, von höchstens {most} für dieses "
        "Training.",
        "Bisher können {count} maskierte Beiträge dieses Geräts in Summen sein, von höchstens {most} für dieses "
        "Training.",
    ),
    "sums_unlimited": (
        "Bisher kann {count} maskierter Beitrag dieses Geräts in Summen sein, und nichts begrenzt ihre Zahl.",
        "Bisher können {count} maskierte Beiträge dieses Geräts in Summen sein, und nichts begrenzt ihre Zahl.",
    ),
    "sums_epsilon": (
        "Zufallsrauschen in den Summen begrenzt, was sie über Sie verraten: Epsilon ist bisher {spent}, frühere "
        "Trainings eingeschlossen, und bis zum Ende dieses Trainings höchstens {most}, bei einem Delta von {delta}. Je "
        "kleiner Epsilon ist, desto weniger verraten sie.",
    ),
    "sums_exact_before": (
        "{count} früherer Beitrag kann in Summen ohne Rauschen sein. Dieses Epsilon gilt nicht für ihn.",
        "{count} frühere Beiträge können in Summen ohne Rauschen sein. Dieses Epsilon gilt nicht für sie.",
    ),
    "sums_without_noise": (
        "Den Summen wird kein Rauschen beigefügt. Daher begrenzt nichts, was viele zusammen über Sie verraten.",
    ),
}
