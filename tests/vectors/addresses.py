"""Writes addresses.json: keys and their addresses as other people's libraries derive them.

    pip install eth-account==0.14.0 embit==0.8.0 solders==0.29.0 tronpy==0.6.2
    python3 addresses.py > addresses.json

The keys are SHA-256 of a counter: nobody's money, and the same file every time.
"""

import hashlib
import json

from embit import ec, script
from embit.networks import NETWORKS
from eth_account import Account
from solders.keypair import Keypair
from tronpy.keys import PrivateKey

BITCOIN = {"mainnet": "main", "testnet": "test", "signet": "signet", "regtest": "regtest"}


def case(counter):
    secret = hashlib.sha256(b"cofferdam test key %d" % counter).digest()
    bitcoin = ec.PrivateKey(secret).get_public_key()
    solana = Keypair.from_seed(secret)
    return {
        "secret": secret.hex(),
        "secp256k1": bitcoin.sec().hex(),
        "ed25519": bytes(solana.pubkey()).hex(),
        "evm": Account.from_key(secret).address,
        "p2wpkh": {name: script.p2wpkh(bitcoin).address(NETWORKS[net]) for name, net in BITCOIN.items()},
        "p2tr": {name: script.p2tr(bitcoin).address(NETWORKS[net]) for name, net in BITCOIN.items()},
        "solana": str(solana.pubkey()),
        "tron": PrivateKey(secret).public_key.to_base58check_address(),
    }


print(json.dumps([case(counter) for counter in range(64)], indent=1))
