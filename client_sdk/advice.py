"""The next step of an app after each kind of error, by the error's code."""

ADVICE = {
    "error": "Read the text of the error.",
    "store": "Make room on the disk, or give the client a folder of its own; the text says which.",
    "store_locked": "Close the client that uses the folder, or use that one.",
    "store_key": "Give the key that the folder was encrypted with. Without it, only a new folder helps.",
    "store_version": "Update the app to the SDK that wrote the folder, or a newer one.",
    "store_closed": "Open another client.",
    "store_forked": "Open a client in this process, after the fork.",
    "usage": "Correct the call; the text says which argument is wrong.",
    "attribute_value": "Set the attribute to a value that the task knows, or to None.",
    "no_model": "Call sync() first, or ship a starter with the app.",
    "task": "Wait for another task; the user can go on with the model on the device.",
    "no_data": "Record what the user does, then sync again. Show something other than recommendations until then.",
    "unsupported_task": "Update the app to a newer SDK.",
    "missing_feature": "Update the app to an SDK that has the features, or do what the text says.",
    "missing_graph": "Wait for a task that brings a training graph, or open the client with an engine that needs none.",
    "forbidden_graph": "Report it to the publisher of the task. Nothing of the graph was run.",
    "untrusted_task": "Check the list of publishers. If it is right, somebody else made the task: tell the operator.",
    "release": "Set the device's clock if it is wrong. Else tell the operator: the bundle is old, or for others.",
    "plain_task": "Wait for a task whose secure sums are as the app requires. If none comes, ask the operator.",
    "resource_limit": "Wait for a smaller task, or open the client with an engine that has higher limits.",
    "damaged_task": "Sync again later. If it happens again, tell the operator.",
    "training": "Sync again later, when the device has more memory.",
    "diverged": "Sync again later. If it happens on many devices, the operator must change the plan.",
    "missing_engine": "Install the package that the text names, or open the client with another engine.",
    "driver": "Correct the driver: it must answer each wish with a value of the class that the wish names.",
    "unknown_wish": "Update the driver together with the SDK.",
    "transport": "Sync again later. If `temporary` is False, correct address, certificates or network first.",
    "credentials": "Renew the token or the certificate that the app shows, then sync again.",
    "unknown_call": "Check the address. If it is right, the operator must update the coordinator.",
    "refused": "Sync again within `retry`. Without one, the text says what the coordinator did not accept.",
    "untrusted_unmasker": "Check the unmaskers that the app names. If they are right, tell their operators: somebody "
    "speaks for them, or the coordinator gave a key for something else.",
    "timed_out": "Sync again, with a longer timeout if this happens often.",
    "missing_package": "Install the package that the text names.",
    "missing_device_state": "Install psutil, or give start() a function that knows the device's state.",
    "local_coordinator": "Correct the test; the text says what could not be done.",
}

REASONS = {
    "enrolment_needed": "Call enrol(), or open the client with `enrolment`, so that a sync does.",
    "not_enrolled": "Call enrol(), or open the client with `enrolment`, so that a sync does.",
    "admission_needed": "Open the client with `admission`, which shows the coordinator who the user is.",
    "admission_spent": "Nothing need be done. The user has had a place in this round, and takes part in another.",
    "participations_spent": "Nothing need be done. The device takes part again in another task.",
}
"""The next step of an app after a rejection, by the code of its reason. After all others it is to sync again later."""
