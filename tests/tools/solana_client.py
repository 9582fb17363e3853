"""Builds transactions of Solana from descriptions, as another client than ours would.

    pip install solders==0.29.0 solana==0.41.0

The instructions are those of solders and of solana's spl.token; "raw" writes any other. Used by
solana_svm.py and by tests/vectors/solana/*.py.

A description of a transaction:

    {"version": "legacy" or "v0", "payer": address, "blockhash": base58, "instructions": [...]}

and of an instruction: its "type", one of BUILDERS, and the arguments of that builder by name, with
addresses in base58.
"""

from solders import compute_budget, system_program
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from spl.memo.instructions import create_memo
from spl.memo.models import MemoParams
from spl.token import instructions as spl
from spl.token import models
from spl.token.constants import TOKEN_PROGRAM_ID

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
TEXTS = {"seed", "from_seed", "message"}


def arguments(spec):
    """The arguments of a builder: text is an address, but where it is text."""

    def argument(name, value):
        if isinstance(value, list):
            return [argument(name, item) for item in value]
        return Pubkey.from_string(value) if isinstance(value, str) and name not in TEXTS else value

    return {name: argument(name, value) for name, value in spec.items() if name != "type"}


def raw(spec):
    """An instruction of any program: accounts as [address, signer, writable], data in hex."""
    accounts = [AccountMeta(Pubkey.from_string(key), *role) for key, *role in spec["accounts"]]
    return Instruction(Pubkey.from_string(spec["program"]), bytes.fromhex(spec["data"]), accounts)


def by_name(builder):
    return lambda spec: builder(**arguments(spec))


def system(builder):
    return lambda spec: builder(arguments(spec))


def token(builder, params):
    return lambda spec: builder(params(**{"program_id": TOKEN_PROGRAM_ID} | arguments(spec)))


def set_authority(spec):
    kind = models.AuthorityType[spec["authority"]]
    given = arguments({name: value for name, value in spec.items() if name != "authority"})
    return spl.set_authority(
        models.SetAuthorityParams(program_id=TOKEN_PROGRAM_ID, authority=kind, **given)
    )


def memo(spec):
    signer = Pubkey.from_string(spec["signer"])
    return create_memo(MemoParams(program_id=MEMO, signer=signer, message=spec["message"].encode()))


BUILDERS = {
    "raw": raw,
    "compute.limit": by_name(compute_budget.set_compute_unit_limit),
    "compute.price": by_name(compute_budget.set_compute_unit_price),
    "compute.heap": by_name(compute_budget.request_heap_frame),
    "compute.loaded": by_name(compute_budget.set_loaded_accounts_data_size_limit),
    "system.transfer": system(system_program.transfer),
    "system.advance_nonce": system(system_program.advance_nonce_account),
    "system.withdraw_nonce": system(system_program.withdraw_nonce_account),
    "system.initialize_nonce": system(system_program.initialize_nonce_account),
    "system.authorize_nonce": system(system_program.authorize_nonce_account),
    "system.upgrade_nonce": system(system_program.upgrade_nonce_account),
    "system.create_account": system(system_program.create_account),
    "system.create_account_with_seed": system(system_program.create_account_with_seed),
    "system.create_account_allow_prefund": system(system_program.create_account_allow_prefund),
    "system.assign": system(system_program.assign),
    "system.assign_with_seed": system(system_program.assign_with_seed),
    "system.allocate": system(system_program.allocate),
    "system.allocate_with_seed": system(system_program.allocate_with_seed),
    "system.transfer_with_seed": system(system_program.transfer_with_seed),
    "token.transfer": token(spl.transfer, models.TransferParams),
    "token.transfer_checked": token(spl.transfer_checked, models.TransferCheckedParams),
    "token.approve": token(spl.approve, models.ApproveParams),
    "token.approve_checked": token(spl.approve_checked, models.ApproveCheckedParams),
    "token.revoke": token(spl.revoke, models.RevokeParams),
    "token.set_authority": set_authority,
    "token.mint_to": token(spl.mint_to, models.MintToParams),
    "token.mint_to_checked": token(spl.mint_to_checked, models.MintToCheckedParams),
    "token.burn": token(spl.burn, models.BurnParams),
    "token.burn_checked": token(spl.burn_checked, models.BurnCheckedParams),
    "token.close": token(spl.close_account, models.CloseAccountParams),
    "token.freeze": token(spl.freeze_account, models.FreezeAccountParams),
    "token.thaw": token(spl.thaw_account, models.ThawAccountParams),
    "token.sync_native": token(spl.sync_native, models.SyncNativeParams),
    "token.initialize_mint2": token(spl.initialize_mint2, models.InitializeMint2Params),
    "token.initialize_account3": token(spl.initialize_account3, models.InitializeAccount3Params),
    "associated.create": by_name(spl.create_associated_token_account),
    "associated.create_idempotent": by_name(spl.create_idempotent_associated_token_account),
    "memo": memo,
}


def compiled(spec):
    """The message of a description, compiled by solders."""
    instructions = [BUILDERS[one["type"]](one) for one in spec["instructions"]]
    payer, blockhash = Pubkey.from_string(spec["payer"]), Hash.from_string(spec["blockhash"])
    if spec["version"] == "legacy":
        return Message.new_with_blockhash(instructions, payer, blockhash)
    return MessageV0.try_compile(payer, instructions, [], blockhash)


def compact(length):
    """A length as Solana writes it."""
    out = bytearray()
    while True:
        out.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
        if not length:
            return bytes(out)


def transaction(message, signatures=None):
    """A transaction as wallets exchange it; without `signatures` nobody has signed."""
    signatures = signatures or [Signature.default()] * message.header.num_required_signatures
    return compact(len(signatures)) + b"".join(map(bytes, signatures)) + to_bytes_versioned(message)


def token_account(owner, mint):
    """The associated token account, base58."""
    return str(spl.get_associated_token_address(Pubkey.from_string(owner), Pubkey.from_string(mint)))
