//! EVM transactions for the demo: made as a backend would make them, and signed ones taken apart.

use chains::{BitcoinNetwork, Chain, PublicKey, Transaction, addresses};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::policy::{LOCAL_CHAIN, LOCAL_TOKEN};
use crate::error::Error;
use client::{Address, Signed};

/// A payment of one EIP-1559 transaction on the local network.
pub(super) struct Payment<'a> {
    pub(super) nonce: u64,
    pub(super) to: &'a str,
    pub(super) amount: u64,
}

impl Payment<'_> {
    /// Of the network's coin.
    pub(super) fn coins(&self) -> Result<Vec<u8>, Error> {
        unsigned(self.nonce, 21_000, &account(self.to)?, self.amount, &[])
    }

    /// Of the token.
    pub(super) fn tokens(&self) -> Result<Vec<u8>, Error> {
        self.call(&[0xa9, 0x05, 0x9c, 0xbb])
    }

    /// Leave to spend tokens: approve(address,uint256).
    pub(super) fn approval(&self) -> Result<Vec<u8>, Error> {
        self.call(&[0x09, 0x5e, 0xa7, 0xb3])
    }

    fn call(&self, selector: &[u8; 4]) -> Result<Vec<u8>, Error> {
        let words = [&[0; 12], account(self.to)?.as_slice(), &[0; 24], &self.amount.to_be_bytes()].concat();
        unsigned(self.nonce, 65_000, &account(LOCAL_TOKEN)?, 0, &[selector, words.as_slice()].concat())
    }
}

/// Type 2 (EIP-1559): `0x02 ‖ rlp([chain_id, nonce, tip, price, gas, to, value, data, []])`.
fn unsigned(nonce: u64, gas: u64, to: &[u8], value: u64, data: &[u8]) -> Result<Vec<u8>, Error> {
    let (tip, price) = (1_000_000_000, 20_000_000_000);
    let numbers = [LOCAL_CHAIN, nonce, tip, price, gas].map(number).concat();
    let payload = [numbers, string(to), number(value), string(data), vec![0xc0]].concat();
    let bytes = [vec![0x02], head(0xc0, payload.len()), payload].concat();
    // What the signer would not read is not what this was meant to be.
    Transaction::parse(Chain::Evm, &bytes)?;
    Ok(bytes)
}

/// That a signed transaction is the unsigned one with a signature by the key of the address, and
/// that the key is the address's. Nothing of the parent's or the enclave's word is in it.
pub(super) fn is_signed_by(address: &Address, unsigned: &[u8], signed: &Signed) -> Result<(), Error> {
    let wrong = |what: &str| Error::Failed(format!("{what} was expected"));
    let key = HEXLOWER.decode(address.public_key.as_bytes()).ok();
    let key = key.and_then(|bytes| PublicKey::from_bytes(Chain::Evm.curve(), &bytes).ok());
    let key = key.ok_or_else(|| wrong("a public key on secp256k1"))?;
    let own = addresses(Chain::Evm, &key, BitcoinNetwork::Mainnet);
    if own.is_ok_and(|own| own.address != address.address) {
        return Err(wrong("the address of the key"));
    }
    let bytes = signed.transaction.strip_prefix("0x").and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
    let bytes = bytes.ok_or_else(|| wrong("a signed transaction in hexadecimal"))?;
    let signature = signature(unsigned, &bytes).ok_or_else(|| wrong("the transaction that was sent"))?;
    let again = Transaction::parse(Chain::Evm, unsigned)?.sweep(&[key], BitcoinNetwork::Mainnet)?;
    // Recovers the key from the signature and compares.
    let again = again.assemble(&[signature])?;
    if again.bytes == bytes && again.id == signed.id {
        Ok(())
    } else {
        Err(wrong("a transaction of that id"))
    }
}

/// r ‖ s ‖ recovery id, from behind the fields of the unsigned transaction.
fn signature(unsigned: &[u8], signed: &[u8]) -> Option<Vec<u8>> {
    let (fields, rest) = item(unsigned.strip_prefix(&[0x02])?)?;
    let (more, end) = item(signed.strip_prefix(&[0x02])?)?;
    let (recovery, numbers) = item(more.strip_prefix(fields)?)?;
    let (r, numbers) = item(numbers)?;
    let (s, last) = item(numbers)?;
    if !(rest.is_empty() && end.is_empty() && last.is_empty()) {
        return None;
    }
    let word = |number: &[u8]| Some([vec![0; 32_usize.checked_sub(number.len())?], number.to_vec()].concat());
    Some([word(r)?, word(s)?, vec![recovery.first().copied().unwrap_or(0)]].concat())
}

fn account(address: &str) -> Result<Vec<u8>, Error> {
    let digits = address.strip_prefix("0x").unwrap_or_default();
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok().filter(|bytes| bytes.len() == 20);
    bytes.ok_or_else(|| Error::Failed("an EVM address was expected".to_owned()))
}

/// RLP of a number: big-endian, without zeroes in front.
fn number(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    string(bytes.iter().position(|byte| *byte != 0).and_then(|at| bytes.get(at..)).unwrap_or_default())
}

/// RLP of bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [head(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

/// The head of a string (0x80) or a list (0xc0).
fn head(kind: u8, length: usize) -> Vec<u8> {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    match u8::try_from(length) {
        Ok(short) if short < 56 => vec![kind | short],
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            let count = u8::try_from(bytes.len()).unwrap_or(8);
            [vec![kind | (55 + count)], bytes].concat()
        }
    }
}

/// The content of the first item, and what follows it.
fn item(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0x00..0x80 => bytes.split_at_checked(1),
        0x80..=0xb7 => rest.split_at_checked(usize::from(first & 0x3f)),
        0xc0..=0xf7 => rest.split_at_checked(usize::from(first & 0x3f)),
        0xb8..=0xbf | 0xf8..=0xff => {
            let (length, rest) = rest.split_at_checked(usize::from((first & 0x3f).checked_sub(55)?))?;
            let length = length.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
            rest.split_at_checked(usize::try_from(length).ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transactions that eth-account signed.
    fn vectors() -> Vec<serde_json::Value> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/evm/eth-account.jsonl");
        let text = std::fs::read_to_string(file).unwrap();
        let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let of_type_2 = |vector: &serde_json::Value| vector["unsigned"].as_str().unwrap().starts_with("02");
        text.lines().map(parse).filter(of_type_2).collect()
    }

    fn address(secret: &str, of: &str) -> Address {
        let secret = k256::SecretKey::from_slice(&HEXLOWER.decode(secret.as_bytes()).unwrap()).unwrap();
        let key = PublicKey::Secp256k1(secret.public_key());
        let (mut address, _) = crate::address::sample::pair();
        (address.public_key, address.address) = (HEXLOWER.encode(&key.to_bytes()), of.to_owned());
        address
    }

    #[test]
    fn what_eth_account_signed_is_signed_by_its_sender_and_by_nobody_else() {
        let vectors = vectors();
        assert!(vectors.len() > 10);
        for vector in &vectors {
            let text = |field: &str| vector[field].as_str().unwrap().to_owned();
            let unsigned = HEXLOWER.decode(text("unsigned").as_bytes()).unwrap();
            let signed = |transaction: &str, id: String| Signed {
                chain: Chain::Evm,
                transaction: format!("0x{transaction}"),
                id,
                kind: String::new(),
                network: String::new(),
                public_keys: Vec::new(),
            };
            let sender = address(&text("key"), &text("sender"));
            let genuine = signed(&text("signed"), text("id"));
            is_signed_by(&sender, &unsigned, &genuine).unwrap();
            let other = address(&"11".repeat(32), &text("sender"));
            assert!(is_signed_by(&other, &unsigned, &genuine).is_err());
            assert!(is_signed_by(&sender, &unsigned, &signed(&text("signed"), "0x".into())).is_err());
            let mut changed = HEXLOWER.decode(text("signed").as_bytes()).unwrap();
            *changed.last_mut().unwrap() ^= 1;
            let changed = signed(&HEXLOWER.encode(&changed), text("id"));
            assert!(is_signed_by(&sender, &unsigned, &changed).is_err());
        }
    }

    #[test]
    fn the_demos_payments_are_what_they_say() {
        let to = "0x7b2e2b327088436E2Ce9B35196705073d24862FE";
        let payment = Payment { nonce: 0, to, amount: 1_000 };
        let secret = k256::SecretKey::from_slice(&[1; 32]).unwrap();
        let key = PublicKey::Secp256k1(secret.public_key());
        let sweep = |bytes: &[u8]| {
            Transaction::parse(Chain::Evm, bytes)
                .unwrap()
                .sweep(std::slice::from_ref(&key), BitcoinNetwork::Mainnet)
        };
        for (bytes, kind) in [(payment.coins(), "evm.native"), (payment.tokens(), "evm.erc20")] {
            let summary = sweep(&bytes.unwrap()).unwrap().summary();
            assert_eq!((summary.kind, summary.transfers[0].amount), (kind, 1_000_u64.into()));
            assert_eq!(summary.transfers[0].destination, to);
            assert_eq!(summary.network, format!("evm:{LOCAL_CHAIN}"));
        }
        assert_eq!(sweep(&payment.approval().unwrap()).unwrap_err().tag, "transaction.evm.call");
    }
}
