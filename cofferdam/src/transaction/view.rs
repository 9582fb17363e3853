//! What the signer sees, for people and for programs.

use chains::{
    Amount, BitcoinNetwork, Chain, PublicKey, SigningInput, Sweep, Transaction, addresses, bitcoin::Spent,
};
use data_encoding::HEXLOWER;
use protocol::api::TransactionToSign;
use serde::{Serialize, Serializer, ser::SerializeSeq};
use sha2::{Digest, Sha256};

use super::{
    details::{self, Details},
    owners::{KeysFrom, Match},
    summary::Summary,
};
use crate::{
    output::{Sheet, Show},
    units::{NATIVE, Unit},
};

/// The longest message that is shown whole.
const DIGEST: usize = 32;

/// A transaction that matched a template.
#[derive(Debug, Serialize)]
pub(super) struct View {
    chain: Chain,
    summary: Summary,
    signing: Vec<Signing>,
    keys_from: KeysFrom,
    keys: Vec<Key>,
    /// On Bitcoin, what each input spends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Input>,
    #[serde(serialize_with = "pairs")]
    details: Details,
}

/// An output that is spent, under its own address.
#[derive(Debug, Serialize)]
struct Input {
    /// The position of the key.
    key: usize,
    outpoint: String,
    address: String,
    amount: Amount,
    /// Whether its transaction is there; otherwise the PSBT claims it.
    proven: bool,
}

/// A PSBT, and the previous transactions that it does not hold: members of a request.
#[derive(Debug, Serialize)]
pub(super) struct SplitView {
    transaction: String,
    previous_transactions: Vec<String>,
}

impl SplitView {
    pub(super) fn new(request: TransactionToSign) -> Self {
        let TransactionToSign { transaction, previous_transactions, .. } = request;
        Self { transaction, previous_transactions }
    }
}

impl Show for SplitView {
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(&self.transaction);
        self.previous_transactions.iter().for_each(|previous| sheet.plain(previous));
    }
}

/// What a key signs.
#[derive(Debug, Serialize)]
struct Signing {
    /// The position of the key.
    key: usize,
    scheme: &'static str,
    message: String,
}

/// Who signs: a key, or the account that it is known by.
#[derive(Debug, Serialize)]
struct Key {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    taproot_address: Option<String>,
}

impl View {
    pub(super) fn new(
        chain: Chain,
        transaction: &Transaction,
        matched: Match,
        network: BitcoinNetwork,
    ) -> Self {
        let account = matched.account.map(|address| Key { public_key: None, address, taproot_address: None });
        let keys = matched.keys.iter().filter_map(|key| Key::of(chain, key, network));
        Self {
            chain,
            summary: matched.sweep.summary().into(),
            signing: matched.signing.iter().map(Signing::of).collect(),
            keys_from: matched.from,
            keys: keys.chain(account).collect(),
            inputs: inputs(&matched.sweep),
            details: details::of(transaction, &matched.sweep),
        }
    }

    fn name(&self, key: usize) -> String {
        self.keys.get(key).map_or_else(|| format!("key {key}"), |key| key.address.clone())
    }

    /// On Bitcoin a key has two addresses: what counts is the one of each input.
    fn show_inputs(&self, sheet: &mut Sheet) {
        for input in &self.inputs {
            let claimed = if input.proven { "" } else { ", as the PSBT claims" };
            sheet.row("from", format!("{}{claimed}", input.address));
            sheet.row("  gives", Unit::named(self.chain, NATIVE).of(input.amount));
            sheet.row("  output", &input.outpoint);
        }
        if self.inputs.iter().any(|input| !input.proven) {
            sheet.warn(
                "without previous transactions what is spent is a claim of the PSBT: if any of it is wrong, \
                 no signature is valid",
            );
        }
    }
}

fn inputs(sweep: &Sweep) -> Vec<Input> {
    let Sweep::Bitcoin(sweep) = sweep else { return Vec::new() };
    let input = |spent: Spent| {
        let Spent { key, outpoint, address, amount, proven } = spent;
        Input { key, outpoint, address, amount: amount.into(), proven }
    };
    sweep.spent().into_iter().map(input).collect()
}

impl Key {
    fn of(chain: Chain, key: &PublicKey, network: BitcoinNetwork) -> Option<Self> {
        let addresses = addresses(chain, key, network).ok()?;
        let public_key = Some(HEXLOWER.encode(&key.to_bytes()));
        Some(Self { public_key, address: addresses.address, taproot_address: addresses.taproot })
    }
}

impl Signing {
    fn of(input: &SigningInput) -> Self {
        let (scheme, message) = input.message.described();
        Self { key: input.key, scheme, message: HEXLOWER.encode(message) }
    }

    fn shown(&self) -> String {
        let bytes = HEXLOWER.decode(self.message.as_bytes()).unwrap_or_default();
        if bytes.len() <= DIGEST {
            return format!("{} of {}", self.scheme, self.message);
        }
        let hash = HEXLOWER.encode(&Sha256::digest(&bytes));
        format!("{} of {} bytes with SHA-256 {hash}", self.scheme, bytes.len())
    }
}

impl Show for View {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("a transaction of a template that can be signed; whether it is, the policy decides");
        match self.keys_from {
            KeysFrom::Arguments => {}
            KeysFrom::Transaction => {
                sheet.warn("the keys are those that the transaction names: give --public-key to say which");
            }
            KeysFrom::Account => {
                sheet.warn("the account is what the transaction names: give --public-key to say whose it is");
            }
            KeysFrom::Nobody => {
                sheet.warn("whose it is the transaction does not say: the signature will");
            }
        }
        self.summary.show_payments(sheet, self.chain);
        if self.inputs.is_empty() {
            self.summary.show_sources(sheet, self.chain, |key| self.name(key));
        } else {
            self.show_inputs(sheet);
        }
        self.summary.show_fee(sheet, self.chain);
        for (name, value) in &self.details {
            sheet.row(&name.replace('_', " "), value);
        }
        for (index, signing) in self.signing.iter().enumerate() {
            let own = self.inputs.get(index).map(|input| input.address.clone());
            let name = own.unwrap_or_else(|| self.name(signing.key));
            sheet.row("signs", format!("{name}: {}", signing.shown()));
        }
    }
}

/// Some names come more than once.
fn pairs<S: Serializer>(details: &Details, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Detail<'a> {
        name: &'a str,
        value: &'a str,
    }
    let mut list = serializer.serialize_seq(Some(details.len()))?;
    for (name, value) in details {
        list.serialize_element(&Detail { name, value })?;
    }
    list.end()
}
