//! The whole-transaction template: what a deposit key signs on Tron, what it means, what is
//! signed, and the transaction that a node takes.

use sha2::{Digest, Sha256};

use super::{Transaction, TronAddress, protobuf::Writer, transaction::Contract, trc20};
use crate::{
    Amount, Anchor, Asset, PublicKey, Refused, Signed, SigningInput, Source, Spends, Summary, ToSign,
    Transfer, recoverable::Signature,
};

/// The bandwidth price, sun a byte: chain parameter 3, `getTransactionFee`.
const SUN_PER_BYTE: u64 = 1_000;
/// What a node adds to a transaction's size for its result: `MAX_RESULT_SIZE_IN_TX`.
const RESULT_BYTES: u64 = 64;
/// What a transfer to an account that does not exist yet costs, sun, instead of bandwidth: chain
/// parameters 2, `getCreateAccountFee` (100,000), and 7, `getCreateNewAccountFeeInSystemContract`
/// (1,000,000).
const NEW_ACCOUNT: u64 = 1_100_000;
/// Bytes of a signature.
const SIGNATURE: u64 = 65;

/// A transaction that matched the whole template for one key: it pays one amount of one asset of
/// the key's account to one address, and does nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    raw: Vec<u8>,
    key: k256::PublicKey,
    asset: Asset<TronAddress>,
    destination: TronAddress,
    amount: Amount,
    fee: Amount,
    expiration: u64,
    timestamp: Option<u64>,
}

impl Transaction {
    /// Matches the transaction with the template, for the key that shall sign it.
    ///
    /// # Errors
    /// `transaction.tron.keys` unless it is exactly one key of secp256k1; `.owner` when the owner is
    /// another account; `.amount` for nothing, or from 2^128; for TRX `.fee_limit` with one; for
    /// tokens `.call_value` with TRX sent along, `.call_token` with a TRC-10 token sent along,
    /// `.call` for every call but `transfer`, `.fee_limit` without one.
    pub fn sweep(&self, keys: &[PublicKey]) -> Result<Sweep, Refused> {
        let [PublicKey::Secp256k1(key)] = keys else {
            let found = format!("{} keys, or another curve", keys.len());
            return Err(Refused::new("transaction.tron.keys", "one key of secp256k1", found));
        };
        let (owner, (asset, destination, amount)) = match &self.contract {
            Contract::Transfer { owner, to, amount } => (owner, self.trx(*to, *amount)?),
            Contract::Trigger { owner, contract, call_value, data, call_token_value, token_id } => {
                if *call_value != 0 {
                    let found = format!("{call_value} sun");
                    return Err(Refused::new("transaction.tron.call_value", "no TRX with the call", found));
                }
                if (*call_token_value, *token_id) != (0, 0) {
                    let found = format!("{call_token_value} of token {token_id}");
                    let allowed = "no TRC-10 token with the call";
                    return Err(Refused::new("transaction.tron.call_token", allowed, found));
                }
                (owner, self.token(*contract, data)?)
            }
        };
        let expected = TronAddress::from_key(key);
        if *owner != expected {
            return Err(Refused::new("transaction.tron.owner", expected.to_string(), owner.to_string()));
        }
        let raw = self.to_bytes();
        let fee = fee(asset, raw.len(), self.fee_limit).ok_or_else(|| {
            Refused::new("transaction.tron.fee_limit", "a fee below 2^64", self.fee_limit.to_string())
        })?;
        let (expiration, timestamp) = (self.expiration, self.timestamp);
        Ok(Sweep { raw, key: *key, asset, destination, amount, fee, expiration, timestamp })
    }

    fn trx(
        &self,
        to: TronAddress,
        amount: u64,
    ) -> Result<(Asset<TronAddress>, TronAddress, Amount), Refused> {
        if amount == 0 {
            return Err(Refused::new("transaction.tron.amount", "an amount of at least 1 sun", "0"));
        }
        if self.fee_limit != 0 {
            let found = self.fee_limit.to_string();
            return Err(Refused::new("transaction.tron.fee_limit", "none on a TRX transfer", found));
        }
        Ok((Asset::Native, to, amount.into()))
    }

    fn token(
        &self,
        contract: TronAddress,
        data: &[u8],
    ) -> Result<(Asset<TronAddress>, TronAddress, Amount), Refused> {
        let (to, amount) = trc20::transfer(data)?;
        if self.fee_limit == 0 {
            return Err(Refused::new("transaction.tron.fee_limit", "a fee limit on a call", "none"));
        }
        Ok((Asset::Token(contract), to, amount))
    }
}

impl Sweep {
    /// What is moved.
    pub const fn asset(&self) -> Asset<TronAddress> {
        self.asset
    }

    /// Whose it is: the account of the key.
    pub fn owner(&self) -> TronAddress {
        TronAddress::from_key(&self.key)
    }

    /// Whom it pays.
    pub const fn destination(&self) -> TronAddress {
        self.destination
    }

    /// How much, in the asset's smallest unit.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// The most that the network takes of the owner's TRX, in sun.
    ///
    /// For a token this is `fee_limit`, which bounds the energy, and the bandwidth of the signed
    /// transaction, which a node charges besides (java-tron: `VMActuator`, `BandwidthProcessor`).
    /// For TRX it is what a transfer to a new account costs, 1.1 TRX; bandwidth alone costs less,
    /// but whether the destination exists is not in the transaction. Staked resources and the
    /// free daily bandwidth make it less, down to nothing.
    ///
    /// The prices of bandwidth and of a new account are chain parameters: those of the main network
    /// at the time of writing are used (developers.tron.network, "Resource Model"). If the
    /// network's committee raises them, this bound is too low until it follows.
    ///
    /// It is of the transaction that [`Sweep::assemble`] makes. Nobody signs the bytes around
    /// `raw_data`: whoever holds the transaction can add some that a node takes and charges for, up to
    /// 500 KiB and 512 TRX (docs/transactions.md, section 5).
    pub const fn fee(&self) -> Amount {
        self.fee
    }

    /// When the network stops taking it: milliseconds since 1970.
    pub const fn expiration(&self) -> u64 {
        self.expiration
    }

    /// When its maker says that it was made: milliseconds since 1970. No node checks it.
    pub const fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    /// Until when it is good: nothing that another transaction could use up.
    pub const fn spends(&self) -> Spends {
        Spends::Expiration(self.expiration)
    }

    /// The network takes each transaction once, by its id; nothing excludes another one.
    pub(super) fn anchor(&self) -> Anchor {
        Anchor::from_name(&format!("tron/{}", data_encoding::HEXLOWER.encode(&self.digest())))
    }

    /// What the signer sees: `tron.trx` or `tron.trc20`, one transfer, one source.
    pub fn summary(&self) -> Summary {
        let kind = match self.asset {
            Asset::Native => "tron.trx",
            Asset::Token(_) => "tron.trc20",
        };
        let asset = self.asset.to_string();
        let destination = self.destination.to_string();
        Summary {
            kind,
            network: "tron".to_owned(),
            sources: vec![Source { key: 0, asset: asset.clone(), amount: self.amount }],
            transfers: vec![Transfer { asset, amount: self.amount, destination }],
            fee: self.fee,
        }
    }

    /// One: SHA-256 of `raw_data`, which is the transaction's id as well.
    pub fn signing_inputs(&self) -> Vec<SigningInput> {
        vec![SigningInput { key: 0, message: ToSign::Ecdsa(self.digest()) }]
    }

    /// The signed `Transaction`, serialized (what `wallet/broadcasthex` takes in hexadecimal), and
    /// its id in lower-case hexadecimal.
    ///
    /// The signature is one of 65 bytes, r ‖ s ‖ recovery id, and goes in as it is: java-tron and
    /// tronpy write 0 or 1 there, TronWeb 27 or 28, and nodes read both.
    ///
    /// # Errors
    /// `transaction.tron.signature` unless there is exactly one, with a low s, from which the
    /// owner's key is recovered.
    pub fn assemble(&self, signatures: &[Vec<u8>]) -> Result<Signed, Refused> {
        let digest = self.digest();
        let signature = Signature::one(signatures, &digest, &self.key, "transaction.tron.signature")?;
        let bytes = Writer::default().bytes(1, &self.raw).bytes(2, &signature.to_bytes()).finish();
        Ok(Signed { bytes, id: data_encoding::HEXLOWER.encode(&digest) })
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.raw).into()
    }
}

/// See [`Sweep::fee`]; `None` when it overflows.
fn fee(asset: Asset<TronAddress>, raw: usize, fee_limit: u64) -> Option<Amount> {
    // Two tags of one byte; the lengths of raw_data, below 2^14, and of the signature.
    let signed = u64::try_from(raw).ok()?.checked_add(SIGNATURE)?.checked_add(2 + 2 + 1)?;
    let bandwidth = signed.checked_add(RESULT_BYTES)?.checked_mul(SUN_PER_BYTE)?;
    Some(match asset {
        Asset::Native => bandwidth.max(NEW_ACCOUNT).into(),
        Asset::Token(_) => bandwidth.checked_add(fee_limit)?.into(),
    })
}
