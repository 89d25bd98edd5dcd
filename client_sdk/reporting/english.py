"""The texts of privacy reports in English. The module `languages` says how they are written."""

from client_sdk.reporting.statements import StatementKind

HEADINGS = {
    StatementKind.STAYS: "What stays on this device",
    StatementKind.LEAVES: "What leaves this device",
    StatementKind.INFERRED: "What the operator of the server can work out",
    StatementKind.MEASURE: "What protects you, and what does not",
}

TEXTS: dict[str, tuple[str, ...]] = {
    "items_kept": (
        "The list of what you used in this app: {count} entry.",
        "The list of what you used in this app: {count} entries.",
    ),
    "attributes_kept": ("What you said about yourself: {names}.",),
    "profile_kept": ("The profile of your taste that this app has learned.",),
    "nothing_left": ("This app remembers nothing that was computed from your data and left this device.",),
    "updates_left": (
        "{count} update that was computed from your data was sent, or part of it: {kilobytes} kB, on {last}.",
        "{count} updates that were computed from your data were sent, or parts of them: {kilobytes} kB, "
        "the last on {last}.",
    ),
    "updates_refused": (
        "{count} of them was refused. It may have arrived all the same.",
        "{count} of them were refused. They may have arrived all the same.",
    ),
    "older_updates_forgotten": (
        "Only the last {count} update is remembered here. Older ones were sent too.",
        "Only the last {count} updates are remembered here. Older ones were sent too.",
    ),
    "enrolment_left": (
        "{count} other server, an unmasker, got a key of this device, the address of your internet connection, and "
        "what this app showed it as evidence, such as a login or an invitation. Or it may have got them.",
        "{count} other servers, which are unmaskers, got a key of this device, the address of your internet "
        "connection, and what this app showed them as evidence, such as a login or an invitation. Or they may have "
        "got them.",
    ),
    "cannot_be_taken_back": ("Nothing that was sent can be taken back, not even if you delete your data here.",),
    "connections_seen": (
        "Whenever this app calls the server, the server sees the time and the address of your internet connection.",
    ),
    "training_would_reveal": (
        "If this app takes part in training, the operator can work out from an update what you used in this app, your "
        "taste, and what you said about yourself.",
    ),
    "items_revealed": ("From each update: what you used in this app, at best hidden among entries chosen at random.",),
    "profile_revealed": ("From each update: the profile of your taste.",),
    "attribute_revealed": (
        "From {count} update: {name}. One update may be enough for it.",
        "From {count} updates: {name}. One update may be enough for it, and some tens leave hardly a doubt.",
    ),
    "sums_reveal": (
        "From masked updates: nothing of one alone. Their sums can tell something about you, and many sums tell more.",
    ),
    "no_name_sent": ("Updates carry no name, no account and no number of this device.",),
    "transfers_encrypted": ("Transfers are encrypted, so that others on the network cannot read them.",),
    "transfers_not_encrypted": ("This app does not encrypt its transfers.",),
    "publishers_checked": ("This app trains only with programs of publishers that it knows.",),
    "publishers_not_checked": ("This app trains with any program that the server sends.",),
    "unlearning": (
        "Training works against traces of this in the profile on this device: {names}. It does not hide it from the "
        "operator.",
    ),
    "noise": ("Random noise is added to the part of an update that reveals most about: {names}.",),
    "cover_items": ("Entries that you did not use are added to each update as a cover.",),
    "sums_masked": (
        "Updates for the present training are masked: the server gets the sum of at least {minimum} devices' updates, "
        "and not a single one.",
    ),
    "sums_trusted": (
        "Whoever runs both the server and the unmasker, or ships an app that lies, can read single updates. The "
        "unmasker sees under a pseudonym in which rounds this device takes part.",
    ),
    "sums_participations": (
        "{count} masked update of this device may be in sums so far, of at most {most} for this training.",
        "{count} masked updates of this device may be in sums so far, of at most {most} for this training.",
    ),
    "sums_unlimited": (
        "{count} masked update of this device may be in sums so far, and nothing limits their number.",
        "{count} masked updates of this device may be in sums so far, and nothing limits their number.",
    ),
    "sums_epsilon": (
        "Random noise in the sums bounds what they tell about you: epsilon is {spent} so far, earlier trainings "
        "included, and at most {most} by the end of this one, with a delta of {delta}. The smaller epsilon is, the "
        "less they tell.",
    ),
    "sums_exact_before": (
        "{count} earlier update may be in sums without noise. This epsilon does not cover it.",
        "{count} earlier updates may be in sums without noise. This epsilon does not cover them.",
    ),
    "sums_without_noise": (
        "No noise is added to the sums, so nothing bounds what many of them together tell about you.",
    ),
}
