//! Unsigned transactions, written from the formats' specifications and not with `chains`: for tests
//! in which what is asked matters more than who wrote it. (What is mined, executed or verified is
//! built by other people's clients: see [`crate::machines`].)

use std::str::FromStr;

use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute::LockTime,
    hashes::Hash, transaction::Version,
};
use chains::Chain;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::{
    authority::{self, collection},
    scene::DepositKey,
};

/// How many of the smallest unit an amount of 1 is in [`sweep`]: enough for the network's fee to be a
/// share of it.
pub const fn unit(chain: Chain) -> u64 {
    match chain {
        Chain::Evm => 100_000_000,
        Chain::Bitcoin => 1,
        Chain::Solana => 10_000,
        Chain::Tron => 2_000_000,
    }
}

/// A native sweep of a key to the chain's collection wallet, as the policy of all tests allows it:
/// `amount` in [`unit()`]s. Another amount is another transaction, which replaces none: on EVM it is the
/// nonce as well.
pub fn sweep(key: &DepositKey, amount: u64) -> Vec<u8> {
    sweep_to(key, amount, &collection(key.chain))
}

/// The same to any address.
pub fn sweep_to(key: &DepositKey, amount: u64, to: &str) -> Vec<u8> {
    let units = amount * unit(key.chain);
    match key.chain {
        Chain::Evm => Evm { value: units.into(), nonce: amount, ..Evm::native(to) }.legacy(),
        Chain::Bitcoin => psbt(&[Coin::of(key, amount + 1000)], to, 1000),
        Chain::Solana => solana_transfer(&key.address, to, units),
        Chain::Tron => tron_transfer(&key.address, to, units),
    }
}

/// An EVM transaction.
#[derive(Debug, Clone)]
pub struct Evm {
    pub chain_id: u64,
    pub nonce: u64,
    pub gas: u64,
    pub max_fee: u128,
    pub to: [u8; 20],
    pub value: u128,
    pub data: Vec<u8>,
}

impl Evm {
    /// One [`unit()`] on network 1, for 21,000 gas at 1,000 wei.
    pub fn native(to: &str) -> Self {
        let (value, data) = (unit(Chain::Evm).into(), Vec::new());
        Self { chain_id: 1, nonce: 0, gas: 21_000, max_fee: 1_000, to: account(to), value, data }
    }

    /// A transfer of a token on network 1, for 100,000 gas at 1,000 wei.
    pub fn token(contract: &str, to: &str, amount: u128) -> Self {
        let data = [&[0xa9, 0x05, 0x9c, 0xbb][..], &[0; 12], &account(to), &[0; 16], &amount.to_be_bytes()];
        Self { gas: 100_000, value: 0, data: data.concat(), ..Self::native(contract) }
    }

    /// Type 0, to be signed with its chain id (EIP-155).
    pub fn legacy(&self) -> Vec<u8> {
        let head = [integer(self.nonce.into()), integer(self.max_fee), self.payment()].concat();
        rlp(0xc0, &[head, integer(self.chain_id.into()), vec![0x80, 0x80]].concat())
    }

    /// Type 2 (EIP-1559), without an access list.
    pub fn typed(&self) -> Vec<u8> {
        let head = [integer(self.chain_id.into()), integer(self.nonce.into()), integer(1)].concat();
        let list = [head, integer(self.max_fee), self.payment(), vec![0xc0]].concat();
        [vec![2], rlp(0xc0, &list)].concat()
    }

    fn payment(&self) -> Vec<u8> {
        [integer(self.gas.into()), string(&self.to), integer(self.value), string(&self.data)].concat()
    }
}

fn account(address: &str) -> [u8; 20] {
    HEXLOWER
        .decode(address.to_ascii_lowercase().trim_start_matches("0x").as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

/// The prefix of a string (0x80) or a list (0xc0), and its contents.
fn rlp(kind: u8, contents: &[u8]) -> Vec<u8> {
    let prefix = match u16::try_from(contents.len()).unwrap().to_be_bytes() {
        [0, short @ ..=55] => vec![kind + short],
        [0, long] => vec![kind + 56, long],
        [high, low] => vec![kind + 57, high, low],
    };
    [prefix, contents.to_vec()].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    if matches!(bytes, [0..=0x7f]) { bytes.to_vec() } else { rlp(0x80, bytes) }
}

fn integer(number: u128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    string(&bytes[(number.leading_zeros() / 8) as usize..])
}

/// An output of a deposit key that a PSBT spends.
#[derive(Debug, Clone)]
pub struct Coin {
    pub script: ScriptBuf,
    pub amount: u64,
}

impl Coin {
    /// At the key's P2WPKH address.
    pub fn of(key: &DepositKey, amount: u64) -> Self {
        Self { script: script(&key.address), amount }
    }

    /// At the key's P2TR address.
    pub fn taproot(key: &DepositKey, amount: u64) -> Self {
        Self { script: script(key.taproot.as_deref().unwrap()), amount }
    }

    /// The transaction that paid it: output 1 of two.
    fn deposit(&self, number: usize) -> Transaction {
        let txid = Txid::from_byte_array(Sha256::digest(format!("coin {number} {}", self.amount)).into());
        let change = TxOut { value: Amount::from_sat(123_456), script_pubkey: ScriptBuf::from(vec![0x51]) };
        let paid = TxOut { value: Amount::from_sat(self.amount), script_pubkey: self.script.clone() };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input(OutPoint::new(txid, 7))],
            output: vec![change, paid],
        }
    }
}

/// The outputs that [`psbt`] spends, in its order.
pub fn spent(coins: &[Coin]) -> Vec<TxOut> {
    coins.iter().map(|coin| coin.deposit(0).output[1].clone()).collect()
}

/// A PSBT of version 0 that sweeps all of these to one address, for a fee.
pub fn psbt(coins: &[Coin], to: &str, fee: u64) -> Vec<u8> {
    let deposits = coins.iter().enumerate().map(|(number, coin)| (coin.deposit(number), 1));
    psbt_of(&deposits.collect::<Vec<_>>(), to, fee).serialize()
}

/// The same of outputs of any transactions, each by its index.
pub fn psbt_of(spent: &[(Transaction, u32)], to: &str, fee: u64) -> Psbt {
    let output = |(previous, index): &(Transaction, u32)| previous.output[*index as usize].clone();
    let total: u64 = spent.iter().map(|spent| output(spent).value.to_sat()).sum();
    let outpoint = |(previous, index): &(Transaction, u32)| OutPoint::new(previous.compute_txid(), *index);
    let unsigned = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: spent.iter().map(outpoint).map(input).collect(),
        output: vec![TxOut { value: Amount::from_sat(total - fee), script_pubkey: script(to) }],
    };
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    for (map, spent) in psbt.inputs.iter_mut().zip(spent) {
        map.witness_utxo = Some(output(spent));
        map.non_witness_utxo = Some(spent.0.clone());
    }
    psbt
}

/// The PSBT without its previous transactions, and these: each once, without its witness, in the API's
/// text.
pub fn moved_out(mut psbt: Psbt) -> (Vec<u8>, Vec<String>) {
    let mut previous = Vec::new();
    for mut transaction in psbt.inputs.iter_mut().filter_map(|map| map.non_witness_utxo.take()) {
        transaction.input.iter_mut().for_each(|input| input.witness.clear());
        let text = HEXLOWER.encode(&bitcoin::consensus::serialize(&transaction));
        if !previous.contains(&text) {
            previous.push(text);
        }
    }
    (psbt.serialize(), previous)
}

/// A transaction with a witness that pays these coins first, and then others up to so many bytes.
pub fn payout(number: usize, coins: &[Coin], bytes: usize) -> Transaction {
    let coin =
        |coin: &Coin| TxOut { value: Amount::from_sat(coin.amount), script_pubkey: coin.script.clone() };
    let other = TxOut { value: Amount::from_sat(600), script_pubkey: script(&collection(Chain::Bitcoin)) };
    let txid = Txid::from_byte_array(Sha256::digest(format!("payout {number}")).into());
    let mut input = input(OutPoint::new(txid, 0));
    input.witness = Witness::from_slice(&[vec![0x30; 72], vec![2; 33]]);
    let (version, lock_time) = (Version::TWO, LockTime::ZERO);
    let output = coins.iter().map(coin).collect();
    let mut transaction = Transaction { version, lock_time, input: vec![input], output };
    while transaction.total_size() + other.size() <= bytes {
        transaction.output.push(other.clone());
    }
    transaction
}

/// The script of a mainnet address.
pub fn script(address: &str) -> ScriptBuf {
    bitcoin::Address::from_str(address).unwrap().assume_checked().script_pubkey()
}

fn input(previous_output: OutPoint) -> TxIn {
    let (script_sig, witness) = (ScriptBuf::new(), Witness::new());
    TxIn { previous_output, script_sig, sequence: Sequence::ENABLE_RBF_NO_LOCKTIME, witness }
}

/// A legacy transaction that transfers lamports; the sender pays the fee.
pub fn solana_transfer(from: &str, to: &str, lamports: u64) -> Vec<u8> {
    solana_transfers(from, &[(to, lamports)])
}

/// The same to many.
pub fn solana_transfers(from: &str, transfers: &[(&str, u64)]) -> Vec<u8> {
    let account = |text: &str| *chains::solana::SolanaAddress::from_str(text).unwrap().as_bytes();
    let count = u8::try_from(transfers.len()).unwrap();
    let mut accounts = account(from).to_vec();
    let mut instructions = Vec::new();
    for (number, (to, lamports)) in (1..).zip(transfers) {
        accounts.extend(account(to));
        // The System program, the accounts of sender and recipient, 12 bytes: Transfer.
        instructions.extend([count + 1, 2, 0, number, 12, 2, 0, 0, 0]);
        instructions.extend(lamports.to_le_bytes());
    }
    accounts.extend([0; 32]);
    let blockhash = Sha256::digest("a block");
    let message = [&[1, 0, 1, count + 2][..], &accounts, &blockhash, &[count], &instructions].concat();
    [&[1][..], &[0; 64], &message].concat()
}

/// Makes the value of a nonce account another, by the key as its authority, and nothing else.
pub fn solana_advance(key: &str, nonce: [u8; 32], value: [u8; 32]) -> Vec<u8> {
    solana_with_nonce(key, nonce, value, None)
}

/// A transfer that is good until the nonce account, whose authority the key is, has another value.
pub fn solana_nonce_transfer(
    key: &str,
    nonce: [u8; 32],
    value: [u8; 32],
    to: &str,
    lamports: u64,
) -> Vec<u8> {
    solana_with_nonce(key, nonce, value, Some((to, lamports)))
}

fn solana_with_nonce(key: &str, nonce: [u8; 32], value: [u8; 32], paid: Option<(&str, u64)>) -> Vec<u8> {
    let account = |text: &str| *chains::solana::SolanaAddress::from_str(text).unwrap().as_bytes();
    let blockhashes = account("SysvarRecentB1ockHashes11111111111111111111");
    let mut accounts = [account(key), nonce].concat();
    accounts.extend(paid.iter().flat_map(|(to, _)| account(to)));
    let count = u8::try_from(accounts.len() / 32).unwrap();
    accounts.extend([blockhashes, [0; 32]].concat());
    // The System program: AdvanceNonceAccount with account, sysvar, authority; Transfer.
    let mut instructions = vec![count + 1, 3, 1, count, 0, 4, 4, 0, 0, 0];
    if let Some((_, lamports)) = paid {
        instructions.extend([count + 1, 2, 0, 2, 12, 2, 0, 0, 0]);
        instructions.extend(lamports.to_le_bytes());
    }
    let number = 1 + u8::from(paid.is_some());
    let message = [&[1, 0, 2, count + 2][..], &accounts, &value, &[number], &instructions].concat();
    [&[1][..], &[0; 64], &message].concat()
}

/// `raw_data` that transfers TRX and expires in ten minutes.
pub fn tron_transfer(from: &str, to: &str, sun: u64) -> Vec<u8> {
    let account = |text: &str| chains::tron::TronAddress::from_str(text).unwrap().to_bytes();
    let now = authority::now() * 1000;
    let transfer = [field(1, &account(from)), field(2, &account(to)), number(3, sun)].concat();
    let any = [field(1, b"type.googleapis.com/protocol.TransferContract"), field(2, &transfer)].concat();
    let contract = [number(1, 1), field(2, &any)].concat();
    let head = [field(1, &[0x12, 0x34]), field(4, &[1, 2, 3, 4, 5, 6, 7, 8]), number(8, now + 600_000)];
    [head.concat(), field(11, &contract), number(14, now)].concat()
}

/// `raw_data` that calls `transfer` of a token, for at most so much energy, and expires in ten minutes.
pub fn tron_token(from: &str, contract: &str, to: &str, amount: u64, fee_limit: u64) -> Vec<u8> {
    let account = |text: &str| chains::tron::TronAddress::from_str(text).unwrap().to_bytes();
    let now = authority::now() * 1000;
    let to = &account(to)[1..];
    let call = [&[0xa9, 0x05, 0x9c, 0xbb][..], &[0; 12], to, &[0; 24], &amount.to_be_bytes()].concat();
    let trigger = [field(1, &account(from)), field(2, &account(contract)), field(4, &call)].concat();
    let any = [field(1, b"type.googleapis.com/protocol.TriggerSmartContract"), field(2, &trigger)].concat();
    let contract = [number(1, 31), field(2, &any)].concat();
    let head = [field(1, &[0x12, 0x34]), field(4, &[1, 2, 3, 4, 5, 6, 7, 8]), number(8, now + 600_000)];
    let tail = [number(14, now), [vec![0x90, 0x01], varint(fee_limit)].concat()];
    [head.concat(), field(11, &contract), tail.concat()].concat()
}

/// A transfer at the dearest: with a price and a limit for compute units.
pub fn solana_priced(from: &str, to: &str, lamports: u64, limit: u32, price: u64) -> Vec<u8> {
    let account = |text: &str| *chains::solana::SolanaAddress::from_str(text).unwrap().as_bytes();
    let compute = account("ComputeBudget111111111111111111111111111111");
    let accounts = [account(from), account(to), [0; 32], compute].concat();
    let limit = [&[3, 0, 5, 2][..], &limit.to_le_bytes()].concat();
    let price = [&[3, 0, 9, 3][..], &price.to_le_bytes()].concat();
    let transfer = [&[2, 2, 0, 1, 12, 2, 0, 0, 0][..], &lamports.to_le_bytes()].concat();
    let blockhash = Sha256::digest("a block");
    let message = [&[1, 0, 2, 4][..], &accounts, &blockhash, &[3], &limit, &price, &transfer].concat();
    [&[1][..], &[0; 64], &message].concat()
}

/// Protocol Buffers: a number.
fn number(field: u8, value: u64) -> Vec<u8> {
    [vec![field << 3], varint(value)].concat()
}

/// Protocol Buffers: bytes, a text or a message.
fn field(field: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![field << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
