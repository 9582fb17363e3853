//! Every part that a sweep must not have, one at a time, is refused by its tag.

use cofferdam_chains::{Curve, PublicKey, Refused, ToSign, tron::Transaction};
use prost::Message;

use crate::messages::{
    Authority, Contract, Raw, TransferContract, TriggerSmartContract, call, contract, key, raw, signer,
    transfer, trc20, trx,
};

fn sweep(bytes: &[u8]) -> Result<(), Refused> {
    Transaction::parse(bytes).and_then(|transaction| transaction.sweep(&[key()])).map(drop)
}

fn refused(raw: &Raw) -> (&'static str, String) {
    let refused = sweep(&raw.encode_to_vec()).unwrap_err();
    let tag = refused.tag.strip_prefix("transaction.tron.").unwrap();
    (tag, refused.found)
}

fn both(change: impl Fn(&mut Raw)) -> (&'static str, String) {
    let [one, other] = [trx(), trc20()].map(|mut raw| {
        change(&mut raw);
        refused(&raw)
    });
    assert_eq!(one, other);
    one
}

fn refused_transfer(change: impl FnOnce(&mut TransferContract)) -> (&'static str, String) {
    let mut message = transfer();
    change(&mut message);
    refused(&raw(contract(1, "TransferContract", &message)))
}

fn refused_call(change: impl FnOnce(&mut TriggerSmartContract)) -> (&'static str, String) {
    let mut message = call();
    change(&mut message);
    refused(&Raw { fee_limit: 1, ..raw(contract(31, "TriggerSmartContract", &message)) })
}

#[test]
fn the_two_templates_match() {
    for raw in [trx(), trc20()] {
        sweep(&raw.encode_to_vec()).unwrap();
        sweep(&Raw { timestamp: 0, ..raw }.encode_to_vec()).unwrap();
    }
}

#[test]
fn a_memo_authorities_and_scripts_are_refused_by_name() {
    assert_eq!(both(|raw| raw.data = b"to the moon".to_vec()), ("memo", "data".into()));
    let authority = Authority { account: vec![0x0a, 1, 1], permission_name: b"active".to_vec() };
    assert_eq!(both(|raw| raw.auths = vec![authority.clone()]), ("auths", "auths".into()));
    assert_eq!(both(|raw| raw.scripts = vec![1]), ("scripts", "scripts".into()));
}

#[test]
fn a_block_reference_is_2_and_8_bytes_without_a_number() {
    assert_eq!(both(|raw| raw.ref_block_bytes.clear()), ("reference", "0 bytes".into()));
    assert_eq!(both(|raw| raw.ref_block_hash.clear()), ("reference", "0 bytes".into()));
    assert_eq!(both(|raw| raw.ref_block_bytes.push(0)), ("reference", "3 bytes".into()));
    assert_eq!(both(|raw| _ = raw.ref_block_hash.pop()), ("reference", "7 bytes".into()));
    assert_eq!(both(|raw| raw.ref_block_num = 5).0, "reference");
}

#[test]
fn times_and_fee_limits_are_not_negative_and_an_expiration_is_there() {
    assert_eq!(both(|raw| raw.expiration = 0), ("expiration", "none".into()));
    assert_eq!(both(|raw| raw.expiration = -1), ("negative", "expiration -1".into()));
    let least = i64::MIN;
    assert_eq!(both(|raw| raw.timestamp = least), ("negative", format!("timestamp {least}")));
    assert_eq!(both(|raw| raw.fee_limit = -5), ("negative", "fee_limit -5".into()));
}

#[test]
fn exactly_one_contract() {
    assert_eq!(both(|raw| raw.contract.clear()), ("contracts", "none".into()));
    assert_eq!(both(|raw| raw.contract.push(raw.contract[0].clone())), ("contracts", "more".into()));
    let vote = contract(4, "VoteWitnessContract", &transfer());
    assert_eq!(both(|raw| raw.contract.push(vote.clone())), ("contracts", "more".into()));
    assert_eq!(both(|raw| raw.contract.insert(0, vote.clone())), ("contracts", "more".into()));
}

#[test]
fn every_other_contract_type_is_refused_by_its_name() {
    // tronprotocol/java-tron, Tron.proto, ContractType.
    for (number, name) in [
        (0, "AccountCreateContract"),
        (2, "TransferAssetContract"),
        (3, "VoteAssetContract"),
        (4, "VoteWitnessContract"),
        (5, "WitnessCreateContract"),
        (6, "AssetIssueContract"),
        (8, "WitnessUpdateContract"),
        (9, "ParticipateAssetIssueContract"),
        (10, "AccountUpdateContract"),
        (11, "FreezeBalanceContract"),
        (12, "UnfreezeBalanceContract"),
        (13, "WithdrawBalanceContract"),
        (14, "UnfreezeAssetContract"),
        (15, "UpdateAssetContract"),
        (16, "ProposalCreateContract"),
        (17, "ProposalApproveContract"),
        (18, "ProposalDeleteContract"),
        (19, "SetAccountIdContract"),
        (20, "CustomContract"),
        (30, "CreateSmartContract"),
        (32, "GetContract"),
        (33, "UpdateSettingContract"),
        (41, "ExchangeCreateContract"),
        (42, "ExchangeInjectContract"),
        (43, "ExchangeWithdrawContract"),
        (44, "ExchangeTransactionContract"),
        (45, "UpdateEnergyLimitContract"),
        (46, "AccountPermissionUpdateContract"),
        (48, "ClearABIContract"),
        (49, "UpdateBrokerageContract"),
        (51, "ShieldedTransferContract"),
        (52, "MarketSellAssetContract"),
        (53, "MarketCancelOrderContract"),
        (54, "FreezeBalanceV2Contract"),
        (55, "UnfreezeBalanceV2Contract"),
        (56, "WithdrawExpireUnfreezeContract"),
        (57, "DelegateResourceContract"),
        (58, "UnDelegateResourceContract"),
        (59, "CancelAllUnfreezeV2Contract"),
    ] {
        // Neither its own parameter nor one that would be allowed makes a difference.
        for parameter in [name, "TransferContract", "TriggerSmartContract"] {
            let contract = contract(number, parameter, &transfer());
            assert_eq!(refused(&raw(contract)), ("type", name.into()));
        }
    }
    for number in [7, 21, 29, 40, 47, 50, 60, 127, 1_000_000] {
        let found = format!("contract type {number}");
        assert_eq!(refused(&raw(contract(number, "TransferContract", &transfer()))), ("type", found));
    }
    assert_eq!(refused(&raw(contract(-1, "TransferContract", &transfer()))).0, "type");
}

#[test]
fn the_parameter_is_of_the_contracts_type() {
    let with = |change: fn(&mut Contract)| both(move |raw| change(&mut raw.contract[0]));
    let url = |contract: &mut Contract, url: &str| contract.parameter.as_mut().unwrap().type_url = url.into();
    assert_eq!(with(|contract| contract.parameter = None), ("type_url", String::new()));
    for (number, name) in
        [(1, "TriggerSmartContract"), (31, "TransferContract"), (1, "TransferAssetContract")]
    {
        let (tag, found) = refused(&raw(contract(number, name, &transfer())));
        assert_eq!((tag, found), ("type_url", format!("type.googleapis.com/protocol.{name}")));
    }
    for wrong in [
        "",
        "TransferContract",
        "protocol.TransferContract",
        "/protocol.TransferContract",
        "type.googleapis.com/TransferContract",
        "type.googleapis.com/protocol.TransferContract ",
        "type.googleapis.com/protocol.transfercontract",
        "Type.googleapis.com/protocol.TransferContract",
        "https://type.googleapis.com/protocol.TransferContract",
        "example.com/protocol.TransferContract",
    ] {
        let mut raw = trx();
        url(&mut raw.contract[0], wrong);
        assert_eq!(refused(&raw), ("type_url", wrong.into()));
    }
    let mut raw = trx();
    url(&mut raw.contract[0], &"\u{1b}".repeat(500));
    assert_eq!(refused(&raw), ("type_url", "\\x1b".repeat(25)), "escaped and cut");
}

#[test]
fn only_the_owner_permission_signs() {
    for id in [1, 2, 3, 9, i32::MAX, -1, i32::MIN] {
        let found = format!("permission {id}");
        assert_eq!(both(|raw| raw.contract[0].permission_id = id), ("permission", found));
    }
}

#[test]
fn a_provider_and_a_contract_name_are_refused() {
    assert_eq!(both(|raw| raw.contract[0].provider = vec![1]).0, "provider");
    assert_eq!(both(|raw| raw.contract[0].contract_name = b"name".to_vec()).0, "contract_name");
}

#[test]
fn addresses_are_21_bytes_and_the_owner_is_the_key() {
    assert_eq!(refused_transfer(|message| message.owner_address.clear()).0, "address");
    assert_eq!(refused_transfer(|message| message.to_address.clear()).0, "address");
    assert_eq!(refused_transfer(|message| _ = message.to_address.remove(0)).0, "address");
    assert_eq!(refused_transfer(|message| message.to_address.push(0)).0, "address");
    let (tag, found) = refused_transfer(|message| message.to_address[0] = 0xa0);
    assert_eq!((tag, found.as_str()), ("address", "21 bytes, the first 0xa0"));
    assert_eq!(refused_call(|message| message.owner_address.clear()).0, "address");
    assert_eq!(refused_call(|message| message.contract_address.clear()).0, "address");
    assert_eq!(refused_transfer(|message| message.owner_address[20] ^= 1).0, "owner");
    assert_eq!(refused_call(|message| message.owner_address[1] ^= 0x80).0, "owner");
}

#[test]
fn a_trx_transfer_has_an_amount_and_no_fee_limit() {
    assert_eq!(refused_transfer(|message| message.amount = 0), ("amount", "0".into()));
    assert_eq!(refused_transfer(|message| message.amount = -1), ("negative", "amount -1".into()));
    assert_eq!(refused(&Raw { fee_limit: 1, ..trx() }), ("fee_limit", "1".into()));
}

#[test]
fn a_token_transfer_sends_nothing_along_and_has_a_fee_limit() {
    assert_eq!(refused_call(|message| message.call_value = 1), ("call_value", "1 sun".into()));
    assert_eq!(refused_call(|message| message.call_token_value = 1).0, "call_token");
    assert_eq!(refused_call(|message| message.token_id = 1_000_001).0, "call_token");
    for name in ["call_value", "call_token_value", "token_id"] {
        let (tag, found) = refused_call(|message| match name {
            "call_value" => message.call_value = -1,
            "call_token_value" => message.call_token_value = -1,
            _ => message.token_id = -1,
        });
        assert_eq!((tag, found), ("negative", format!("{name} -1")));
    }
    assert_eq!(refused(&Raw { fee_limit: 0, ..trc20() }), ("fee_limit", "none".into()));
    assert_eq!(refused_call(|message| message.data.clear()), ("call", "0 bytes of call data".into()));
    assert_eq!(refused_call(|message| message.data.push(0)), ("call", "69 bytes of call data".into()));
    assert_eq!(refused_call(|message| message.data[15] = 0x41).0, "call");
    assert_eq!(refused_call(|message| message.data[51] = 1).0, "amount");
    let (tag, found) = refused_call(|message| message.data[..4].copy_from_slice(&[0x09, 0x5e, 0xa7, 0xb3]));
    assert_eq!((tag, found.as_str()), ("call", "approve(address,uint256)"));
}

#[test]
fn other_encodings_of_the_same_transaction_are_refused() {
    let bytes = trx().encode_to_vec();
    // Field 1 has 4 bytes with its key and length, field 4 has 10.
    let (head, tail) = bytes.split_at(14);
    assert_eq!((head[0], head[4], tail[0]), (0x0a, 0x22, 0x40));
    let swapped = [&head[4..], &head[..4], tail].concat();
    let twice = [head, &head[4..], tail].concat();
    let longer = [&[0x0a, 0x82, 0x00], &bytes[2..]].concat();
    let default = [&bytes[..], &[0x90, 0x01, 0x00]].concat();
    let unknown = [&bytes[..], &[0x98, 0x01, 0x01]].concat();
    let between = [head, &[0x28, 0x01], tail].concat();
    let other_wire_type = [&bytes[..], &[0x92, 0x01, 0x01, 0x00]].concat();
    let cut = &bytes[..bytes.len() - 1];
    for encoding in [&swapped, &twice, &longer, &default, &unknown, &between, &other_wire_type, cut] {
        assert_eq!(sweep(encoding).unwrap_err().tag, "transaction.tron.encoding");
    }
    for same in [&swapped, &twice, &longer, &default, &unknown, &between] {
        assert_eq!(Raw::decode(&same[..]).unwrap(), trx(), "another decoder takes it");
    }
    assert_eq!(sweep(&[]).unwrap_err().tag, "transaction.tron.contracts");
    assert_eq!(sweep(&vec![0x0a; 1025]).unwrap_err().tag, "transaction.tron.encoding");
}

#[test]
fn unknown_fields_and_defaults_are_refused_at_every_depth() {
    for unknown in [&[0x38, 0x01][..], &[0x38, 0x00], &[0x3a, 0x01, 0x00], &[0x3a, 0x00]] {
        let inner = |mut message: Vec<u8>| {
            message.extend(unknown);
            message
        };
        let mut in_message = trx();
        let value = &mut in_message.contract[0].parameter.as_mut().unwrap().value;
        *value = inner(value.clone());
        let mut in_call = trc20();
        let value = &mut in_call.contract[0].parameter.as_mut().unwrap().value;
        *value = inner(value.clone());
        assert_eq!(refused(&in_message).0, "encoding");
        assert_eq!(refused(&in_call).0, "encoding");
        // The contract, and the Any in it, by hand.
        let mut plain = trx();
        let message = plain.contract.remove(0);
        let any = message.parameter.clone().unwrap().encode_to_vec();
        let field =
            |number: u8, bytes: Vec<u8>| [vec![number, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let (before, after) =
            (Raw { timestamp: 0, ..plain.clone() }, Raw { timestamp: plain.timestamp, ..Raw::default() });
        for contract in [inner(message.encode_to_vec()), [vec![0x08, 0x01], field(0x12, inner(any))].concat()]
        {
            let bytes = [before.encode_to_vec(), field(0x5a, contract), after.encode_to_vec()].concat();
            assert!(Raw::decode(&bytes[..]).is_ok(), "another decoder takes it");
            assert_eq!(sweep(&bytes).unwrap_err().tag, "transaction.tron.encoding");
        }
    }
}

#[test]
fn one_key_of_the_right_curve_signs_once() {
    let transaction = Transaction::parse(&trx().encode_to_vec()).unwrap();
    let ed25519 = PublicKey::from_bytes(Curve::Ed25519, &{
        let mut point = [0; 32];
        point[0] = 3;
        point
    })
    .unwrap();
    for keys in [vec![], vec![key(), key()], vec![ed25519.clone()], vec![key(), ed25519]] {
        assert_eq!(transaction.sweep(&keys).unwrap_err().tag, "transaction.tron.keys");
    }
    let sweep = transaction.sweep(&[key()]).unwrap();
    let ToSign::Ecdsa(digest) = sweep.signing_inputs()[0].message else { panic!("ECDSA") };
    let (signature, recovery) = signer().sign_prehash_recoverable(&digest);
    let signature = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
    sweep.assemble(std::slice::from_ref(&signature)).unwrap();
    for signatures in [vec![], vec![signature.clone(), signature.clone()], vec![signature[..64].to_vec()]] {
        assert_eq!(sweep.assemble(&signatures).unwrap_err().tag, "transaction.tron.signature");
    }
}
