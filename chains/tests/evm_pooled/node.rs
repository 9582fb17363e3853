//! What a node of Ethereum's makes of bytes: the `rlp` crate reads them, libsecp256k1 recovers the
//! sender. Nothing here is ours but the order of the fields (EIP-155, 1559, 2718, 2930). It takes more
//! than nodes do, among it a high s: what holds against it holds against them.

use bitcoin::secp256k1::{
    Message, Secp256k1,
    constants::CURVE_ORDER,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use rlp::{Rlp, RlpStream};
use sha3::{Digest, Keccak256};

/// What a transaction does, whatever its form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Terms {
    pub(crate) nonce: u64,
    pub(crate) price: u128,
    pub(crate) gas: u64,
    pub(crate) to: [u8; 20],
    pub(crate) value: u128,
    pub(crate) data: Vec<u8>,
}

/// How it is written, and for which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Type 0 as before EIP-155: valid everywhere.
    Unprotected,
    Eip155(u64),
    Eip2930(u64),
    Eip1559(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) r: [u8; 32],
    pub(crate) s: [u8; 32],
    pub(crate) y_is_odd: bool,
}

/// A transaction of this sender on this network, or on every one.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) network: Option<u64>,
    pub(crate) sender: [u8; 20],
    pub(crate) terms: Terms,
}

/// `transfer(to, amount)`.
pub(crate) fn transfer_call(to: [u8; 20], amount: u128) -> Vec<u8> {
    [&[0xa9, 0x05, 0x9c, 0xbb][..], &[0; 12], &to, &[0; 16], &amount.to_be_bytes()].concat()
}

impl Terms {
    /// The token if it is one, whom it pays, and how much; `None` for every other call.
    pub(crate) fn payment(&self) -> Option<(Option<[u8; 20]>, [u8; 20], u128)> {
        if self.data.is_empty() {
            return Some((None, self.to, self.value));
        }
        let to = self.data.get(16..36)?.try_into().ok()?;
        let amount = u128::from_be_bytes(self.data.get(52..)?.try_into().ok()?);
        let all = self.value == 0 && self.data == transfer_call(to, amount);
        all.then_some((Some(self.to), to, amount))
    }

    pub(crate) fn most_fee(&self) -> u128 {
        u128::from(self.gas) * self.price
    }
}

impl Form {
    pub(crate) fn network(self) -> Option<u64> {
        match self {
            Self::Unprotected => None,
            Self::Eip155(network) | Self::Eip2930(network) | Self::Eip1559(network) => Some(network),
        }
    }

    pub(crate) fn unsigned(self, terms: &Terms) -> Vec<u8> {
        self.write(terms, |list| {
            if let Self::Eip155(network) = self {
                list.append(&network).append(&0_u8).append(&0_u8);
            }
        })
    }

    pub(crate) fn signed(self, terms: &Terms, signature: &Signature) -> Vec<u8> {
        let parity = u128::from(signature.y_is_odd);
        let v = match self {
            Self::Unprotected => 27 + parity,
            Self::Eip155(network) => u128::from(network) * 2 + 35 + parity,
            Self::Eip2930(_) | Self::Eip1559(_) => parity,
        };
        self.write(terms, |list| {
            list.append(&v).append(&number(&signature.r)).append(&number(&signature.s));
        })
    }

    fn write(self, terms: &Terms, end: impl FnOnce(&mut RlpStream)) -> Vec<u8> {
        let mut list = RlpStream::new();
        list.begin_unbounded_list();
        if let Self::Eip2930(network) | Self::Eip1559(network) = self {
            list.append(&network);
        }
        list.append(&terms.nonce);
        if let Self::Eip1559(_) = self {
            list.append(&1_u8);
        }
        list.append(&terms.price).append(&terms.gas).append(&&terms.to[..]).append(&terms.value);
        list.append(&terms.data);
        if let Self::Eip2930(_) | Self::Eip1559(_) = self {
            list.begin_list(0);
        }
        end(&mut list);
        list.finalize_unbounded_list();
        let kind: &[u8] = match self {
            Self::Unprotected | Self::Eip155(_) => &[],
            Self::Eip2930(_) => &[1],
            Self::Eip1559(_) => &[2],
        };
        [kind, &list.out()].concat()
    }
}

impl Signature {
    /// Itself, with the other y, with -s for s, and with both: the last is as valid as the first.
    pub(crate) fn twins(self) -> [Self; 4] {
        let mut high = CURVE_ORDER;
        let mut borrow = 0;
        for (byte, less) in high.iter_mut().zip(self.s).rev() {
            let (difference, one) = byte.overflowing_sub(less);
            let (difference, other) = difference.overflowing_sub(borrow);
            (*byte, borrow) = (difference, u8::from(one || other));
        }
        let flipped = |one: Self| Self { y_is_odd: !one.y_is_odd, ..one };
        let negated = Self { s: high, ..self };
        [self, flipped(self), negated, flipped(negated)]
    }
}

/// What a node reads of a signed transaction, if it recovers a sender.
pub(crate) fn taken(bytes: &[u8]) -> Option<Taken> {
    let (kind, list) = match bytes.split_first()? {
        (0xc0.., _) => (0, bytes),
        (kind, list) => (*kind, list),
    };
    let list = Rlp::new(list);
    let count = list.item_count().ok()?;
    // Where the fields begin that all types have, and what comes before.
    let (first, fields) = match (kind, count) {
        (0, 9) => (0, 9),
        (1, 11) => (1, 11),
        (2, 12) => (1, 12),
        _ => return None,
    };
    let at = |place: usize| list.at(place).ok();
    let price = if kind == 2 { first + 2 } else { first + 1 };
    let terms = Terms {
        nonce: at(first)?.as_val().ok()?,
        price: at(price)?.as_val().ok()?,
        gas: at(price + 1)?.as_val().ok()?,
        to: at(price + 2)?.data().ok()?.try_into().ok()?,
        value: at(price + 3)?.as_val().ok()?,
        data: at(price + 4)?.data().ok()?.to_vec(),
    };
    let v: u128 = at(fields - 3)?.as_val().ok()?;
    let (network, parity) = match (kind, v) {
        (0, 27 | 28) => (None, v - 27),
        (0, 35..) => (Some(u64::try_from((v - 35) / 2).ok()?), (v - 35) % 2),
        (0, _) => return None,
        (_, 0 | 1) => (Some(at(0)?.as_val().ok()?), v),
        _ => return None,
    };
    let mut signed = RlpStream::new();
    signed.begin_unbounded_list();
    for place in 0..fields - 3 {
        signed.append_raw(at(place)?.as_raw(), 1);
    }
    if let (0, Some(network)) = (kind, network) {
        signed.append(&network).append(&0_u8).append(&0_u8);
    }
    signed.finalize_unbounded_list();
    let kinds: &[u8] = if kind == 0 { &[] } else { &[kind] };
    let digest = Keccak256::digest([kinds, &signed.out()].concat());
    let [r, s] = [fields - 2, fields - 1].map(|place| word(at(place)?.data().ok()?));
    let sender = recover(digest.into(), [r?, s?], i32::try_from(parity).ok()?)?;
    Some(Taken { network, sender, terms })
}

/// The account whose key signed.
fn recover(digest: [u8; 32], [r, s]: [[u8; 32]; 2], parity: i32) -> Option<[u8; 20]> {
    let id = RecoveryId::from_i32(parity).ok()?;
    let signature = RecoverableSignature::from_compact(&[r, s].concat(), id).ok()?;
    let key = Secp256k1::verification_only().recover_ecdsa(&Message::from_digest(digest), &signature).ok()?;
    Keccak256::digest(&key.serialize_uncompressed()[1..])[12..].try_into().ok()
}

fn word(bytes: &[u8]) -> Option<[u8; 32]> {
    let mut word = [0; 32];
    word.get_mut(32_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(word)
}

/// Without its leading zeroes.
fn number(word: &[u8; 32]) -> &[u8] {
    &word[word.iter().position(|byte| *byte != 0).unwrap_or(word.len())..]
}

#[test]
fn this_node_recovers_the_senders_of_what_eth_account_signed() {
    let cases = include_str!("../../../tests/vectors/evm/eth-account.jsonl");
    let mut count = 0;
    for case in cases.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        let signed = data_encoding::HEXLOWER.decode(case["signed"].as_str().unwrap().as_bytes()).unwrap();
        let taken = taken(&signed).unwrap();
        assert_eq!(cofferdam_chains::evm::EvmAddress::new(taken.sender).to_string(), case["sender"]);
        assert_eq!(format!("evm:{}", taken.network.unwrap()), case["network"]);
        let (token, to, amount) = taken.terms.payment().unwrap();
        let asset = token
            .map_or("native".to_owned(), |token| cofferdam_chains::evm::EvmAddress::new(token).to_string());
        assert_eq!(
            (asset, amount.to_string()),
            (case["asset"].as_str().unwrap().into(), case["amount"].as_str().unwrap().into())
        );
        assert_eq!(cofferdam_chains::evm::EvmAddress::new(to).to_string(), case["destination"]);
        count += 1;
    }
    assert_eq!(count, 200);
}
