//! A transaction that matched the template of a sweep: what it does, what is signed, and how the
//! signatures come in. Only [`Transaction::sweep`] makes one.

use ed25519_dalek::{Signature, VerifyingKey};

use super::{
    SolanaAddress, Transaction, fee,
    transaction::{SIGNATURE, UNSIGNED},
};
use crate::{
    Amount, Anchor, Count, Refused, Signed, SigningInput, Source, Spends, Summary, ToSign, Transfer,
};

/// How a transaction stays valid beyond a recent blockhash: it takes the value of a nonce account,
/// and makes it another. Whoever holds the authority can do so too, and so end a transaction that
/// was signed and never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// The nonce account.
    pub account: SolanaAddress,
    /// Who may advance it; it signs.
    pub authority: SolanaAddress,
}

/// A token account that is made unless it is there. Its rent is the fee payer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAccount {
    /// The token account: the destination of every transfer.
    pub account: SolanaAddress,
    /// Whose it becomes.
    pub owner: SolanaAddress,
}

/// The end of a token account. Its lamports, the rent and whatever else lies there, move; how many
/// they are the transaction does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The token account: the source of a transfer.
    pub account: SolanaAddress,
    /// Whom its lamports pay.
    pub destination: SolanaAddress,
}

/// What a sweep pays. Each payment is one instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moved {
    /// Nothing: all that happens is that a nonce account's value becomes another.
    Nothing,
    Sol(Vec<Paid>),
    Token(TokenPayment),
}

/// Transfers of one mint to one token account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenPayment {
    pub(super) mint: SolanaAddress,
    pub(super) decimals: u8,
    pub(super) destination: SolanaAddress,
    pub(super) paid: Vec<Paid>,
    pub(super) creates: Option<NewAccount>,
    pub(super) closes: Vec<Closing>,
}

/// What one key of the request pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) key: usize,
    pub(super) destination: SolanaAddress,
    pub(super) amount: u64,
}

/// A transaction that does nothing but sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    pub(super) transaction: Transaction,
    /// The place of each of the request's keys among the signers.
    pub(super) places: Vec<usize>,
    pub(super) fee_payer: SolanaAddress,
    pub(super) nonce: Option<Nonce>,
    pub(super) unit_limit: Option<u32>,
    pub(super) unit_price: Option<u64>,
    pub(super) payment: Moved,
    pub(super) fee: Amount,
}

impl Sweep {
    /// What the signer sees. The destination of a token's transfer is the token account; the fee
    /// holds the rent of an account that may have to be made. Lamports of a closed account are not
    /// among the transfers: see [`Sweep::closings`].
    pub fn summary(&self) -> Summary {
        let (kind, asset) = match &self.payment {
            Moved::Nothing => ("solana.advance", "native".to_owned()),
            Moved::Sol(_) => ("solana.sol", "native".to_owned()),
            Moved::Token(token) => ("solana.spl", token.mint.to_string()),
        };
        let transfers = self.paid().iter().map(|paid| Transfer {
            asset: asset.clone(),
            amount: paid.amount.into(),
            destination: paid.destination.to_string(),
        });
        let sources =
            self.sources().into_iter().map(|(key, amount)| Source { key, asset: asset.clone(), amount });
        Summary {
            kind,
            network: "solana".to_owned(),
            transfers: transfers.collect(),
            sources: sources.collect(),
            fee: self.fee,
        }
    }

    /// Who pays the fee: the first signer.
    pub const fn fee_payer(&self) -> SolanaAddress {
        self.fee_payer
    }

    /// The fee payer's position among the request's keys, where it is one of them.
    pub fn fee_payer_key(&self) -> Option<usize> {
        self.places.iter().position(|place| *place == 0)
    }

    /// The nonce account, where the transaction takes its value for a blockhash.
    pub const fn nonce(&self) -> Option<Nonce> {
        self.nonce
    }

    /// The nonce account's value that it uses up, or the blockhash while which it is good.
    pub const fn spends(&self) -> Spends {
        let value = SolanaAddress::new(self.transaction.message.recent_blockhash);
        match self.nonce {
            Some(Nonce { account, .. }) => Spends::NonceAccount { account, value },
            None => Spends::Blockhash(value),
        }
    }

    /// Whether it moves nothing and only makes a nonce account's value another.
    pub const fn is_void(&self) -> bool {
        matches!(self.payment, Moved::Nothing)
    }

    /// What it moves of the one asset, all keys together.
    pub(super) fn moved(&self) -> Amount {
        let sum = self.paid().iter().fold(0u128, |sum, paid| sum.saturating_add(paid.amount.into()));
        Amount::new(sum)
    }

    /// Each message stands for itself. The value of a nonce account would be no anchor: where it is not
    /// the account's value but a recent blockhash, the network takes every transaction that names it,
    /// one in each slot.
    pub(super) fn count(&self, key: usize, amount: Amount) -> Count {
        let message = data_encoding::HEXLOWER.encode(&self.transaction.message_bytes());
        Count { key, amount, anchors: vec![Anchor::from_name(&format!("solana/{message}"))] }
    }

    /// A recent blockhash, or the nonce account's value.
    pub const fn recent_blockhash(&self) -> &[u8; 32] {
        &self.transaction.message.recent_blockhash
    }

    /// The most compute units: those that are set, otherwise 200,000 for each instruction and
    /// 1,400,000 at most.
    pub fn unit_limit(&self) -> u32 {
        let instructions = self.transaction.message.instructions.len();
        self.unit_limit.unwrap_or_else(|| fee::default_unit_limit(instructions))
    }

    /// Micro-lamports for each compute unit.
    pub fn unit_price(&self) -> u64 {
        self.unit_price.unwrap_or_default()
    }

    /// The token account that may have to be made.
    pub const fn creates(&self) -> Option<NewAccount> {
        match &self.payment {
            Moved::Nothing | Moved::Sol(_) => None,
            Moved::Token(token) => token.creates,
        }
    }

    /// The token accounts that end.
    pub fn closings(&self) -> &[Closing] {
        match &self.payment {
            Moved::Nothing | Moved::Sol(_) => &[],
            Moved::Token(token) => &token.closes,
        }
    }

    /// What each key of the request signs, in the request's order: the message.
    pub fn signing_inputs(&self) -> Vec<SigningInput> {
        let message = self.transaction.message_bytes();
        (0..self.places.len())
            .map(|key| SigningInput { key, message: ToSign::Ed25519(message.clone()) })
            .collect()
    }

    /// The transaction with the signatures that [`Sweep::signing_inputs`] asked for, in the same
    /// order; each is verified as the network does.
    ///
    /// A fee payer who is no key of the request stays as it came. Where it has not signed yet, the
    /// transaction cannot be sent before it does, and has no id yet: the id is the first signature
    /// in base58, and empty text until then.
    ///
    /// # Errors
    /// `transaction.solana.signature` when one is missing, too many, or does not verify.
    pub fn assemble(&self, signatures: &[Vec<u8>]) -> Result<Signed, Refused> {
        if signatures.len() != self.places.len() {
            let found = format!("{} signatures", signatures.len());
            return Err(Refused::new(SIGNATURE, format!("{} signatures", self.places.len()), found));
        }
        let mut transaction = self.transaction.clone();
        let message = transaction.message_bytes();
        for (signature, place) in signatures.iter().zip(&self.places) {
            let signer = transaction.signers().get(*place).copied();
            let slot = transaction.signatures.get_mut(*place);
            let (Some(signer), Some(slot)) = (signer, slot) else {
                return Err(Refused::new(SIGNATURE, "a place for each key", "none"));
            };
            *slot = verified(&signer, &message, signature)?;
        }
        let first = transaction.signatures.first().filter(|first| **first != UNSIGNED);
        let id = first.map(|first| bs58::encode(first).into_string()).unwrap_or_default();
        Ok(Signed { bytes: transaction.to_bytes(), id })
    }

    pub(super) fn paid(&self) -> &[Paid] {
        match &self.payment {
            Moved::Nothing => &[],
            Moved::Sol(paid) => paid,
            Moved::Token(token) => &token.paid,
        }
    }

    /// What each key gives of the one asset, by its position.
    pub(super) fn sources(&self) -> Vec<(usize, Amount)> {
        let sum = |key| {
            let of_key = self.paid().iter().filter(|paid| paid.key == key);
            // Fewer than 2^64 amounts of 64 bits stay below 2^128.
            of_key.fold(0u128, |sum, paid| sum.saturating_add(paid.amount.into()))
        };
        (0..self.places.len())
            .map(|key| (key, Amount::new(sum(key))))
            .filter(|(_, amount)| *amount != Amount::ZERO)
            .collect()
    }
}

/// The signature, if it is `signer`'s over `message` (RFC 8032, with the checks of dalek's
/// `verify_strict`, which the network makes).
pub(super) fn verified(
    signer: &SolanaAddress,
    message: &[u8],
    signature: &[u8],
) -> Result<[u8; 64], Refused> {
    let wrong = || Refused::new(SIGNATURE, format!("a valid signature by {signer}"), "another");
    let bytes: [u8; 64] = signature.try_into().map_err(|_| wrong())?;
    let key = VerifyingKey::from_bytes(signer.as_bytes()).map_err(|_| wrong())?;
    key.verify_strict(message, &Signature::from_bytes(&bytes)).map_err(|_| wrong())?;
    Ok(bytes)
}
