//! The templates: what a transaction of a deposit key may be as a whole, and what comes of it.

use sha3::{Digest, Keccak256};

use super::{Transaction, address::EvmAddress};
use crate::{
    Amount, Anchor, Asset, PublicKey, Refused, Signed, SigningInput, Source, Spends, Summary, ToSign,
    Transfer, public_key::account, recoverable::Signature,
};

/// `transfer(address,uint256)` (ERC-20).
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
/// Its 4 bytes and two words.
const TRANSFER_BYTES: usize = 68;

/// A transaction that matches a template as a whole, and the key that signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    transaction: Transaction,
    key: k256::PublicKey,
    asset: Asset<EvmAddress>,
    amount: Amount,
    destination: EvmAddress,
    fee: Amount,
    cancels: bool,
}

impl Transaction {
    /// Matches the whole transaction with a template: a native payment, or a transfer of an
    /// ERC-20 token. `keys` is the one key that signs.
    ///
    /// # Errors
    /// [`Refused`] with a tag of `transaction.evm.*`, as listed in [`crate::evm`].
    pub fn sweep(&self, keys: &[PublicKey]) -> Result<Sweep, Refused> {
        let &[PublicKey::Secp256k1(key)] = keys else {
            return Err(Refused::new(
                "transaction.evm.key",
                "one key, on secp256k1",
                match keys {
                    [_] => "a key on another curve".to_owned(),
                    _ => format!("{} keys", keys.len()),
                },
            ));
        };
        let own = EvmAddress::new(account(&key));
        let cancels = is_cancel(self, own);
        let (asset, amount, destination) = match self.data() {
            [] => (Asset::Native, self.value(), self.to()),
            data => {
                let (amount, recipient) = erc20_transfer(data, self.value())?;
                (Asset::Token(self.to()), amount, recipient)
            }
        };
        if amount == Amount::ZERO && !cancels {
            let unit = if asset == Asset::Native { "wei" } else { "units" };
            let found = format!("0 {unit}");
            return Err(Refused::new("transaction.evm.amount", format!("more than 0 {unit}"), found));
        }
        let price = self.max_fee_per_gas();
        let fee = price.get().checked_mul(self.gas_limit().into()).ok_or_else(|| {
            Refused::new(
                "transaction.evm.fee",
                "a gas limit and a price whose product is below 2^128",
                format!("{} gas at {price} wei", self.gas_limit()),
            )
        })?;
        let fee = Amount::new(fee);
        Ok(Sweep { transaction: self.clone(), key, asset, amount, destination, fee, cancels })
    }
}

impl Sweep {
    /// What the signer sees.
    pub fn summary(&self) -> Summary {
        let asset = self.asset.to_string();
        let destination = self.destination.to_string();
        let mut transfers = vec![Transfer { asset: asset.clone(), amount: self.amount, destination }];
        let mut sources = vec![Source { key: 0, asset, amount: self.amount }];
        let kind = match self.asset {
            _ if self.cancels => {
                transfers.clear();
                sources.clear();
                "evm.cancel"
            }
            Asset::Native => "evm.native",
            Asset::Token(_) => "evm.erc20",
        };
        let network = format!("evm:{}", self.transaction.chain_id());
        Summary { kind, network, transfers, sources, fee: self.fee }
    }

    /// The one digest: Keccak-256 of the unsigned transaction.
    pub fn signing_inputs(&self) -> Vec<SigningInput> {
        vec![SigningInput { key: 0, message: ToSign::Ecdsa(self.transaction.signing_hash()) }]
    }

    /// Puts the signature, 65 bytes as [`ToSign::Ecdsa`] says, into the transaction.
    ///
    /// # Errors
    /// `transaction.evm.signature` unless there is one signature, of this transaction, by the
    /// key, with low s.
    pub fn assemble(&self, signatures: &[Vec<u8>]) -> Result<Signed, Refused> {
        let digest = self.transaction.signing_hash();
        let signature = Signature::one(signatures, &digest, &self.key, "transaction.evm.signature")?;
        let bytes = self.transaction.signed(&signature)?;
        let hash = data_encoding::HEXLOWER.encode(&Keccak256::digest(&bytes));
        Ok(Signed { bytes, id: format!("0x{hash}") })
    }

    /// The nonce that it uses up.
    pub const fn spends(&self) -> Spends {
        Spends::Nonce { chain_id: self.transaction.chain_id(), nonce: self.transaction.nonce() }
    }

    /// Whether it moves nothing and only uses up its nonce: `evm.cancel`.
    pub const fn is_void(&self) -> bool {
        self.cancels
    }

    /// Of all transactions of one account, network and nonce one can be mined.
    pub(super) fn anchor(&self) -> Anchor {
        let (network, nonce) = (self.transaction.chain_id(), self.transaction.nonce());
        Anchor::from_name(&format!("evm:{network}/{}/{nonce}", self.sender()))
    }

    /// The transaction as it was parsed.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The account that pays: the key's.
    pub fn sender(&self) -> EvmAddress {
        EvmAddress::new(account(&self.key))
    }

    /// What is moved.
    pub const fn asset(&self) -> Asset<EvmAddress> {
        self.asset
    }

    /// How much of it.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// Whom it is moved to.
    pub const fn destination(&self) -> EvmAddress {
        self.destination
    }

    /// Gas limit × greatest price of a unit of gas, in wei. Rollups of the OP Stack take a fee
    /// for data besides, which no transaction can bound.
    pub const fn fee(&self) -> Amount {
        self.fee
    }
}

/// The one transaction of an amount of 0: of type 2, to the key's own account, without data. It does
/// nothing but use up a nonce.
fn is_cancel(transaction: &Transaction, own: EvmAddress) -> bool {
    let nothing = transaction.value() == Amount::ZERO && transaction.data().is_empty();
    nothing && transaction.to() == own && transaction.has_dynamic_fee()
}

/// The amount and the recipient of exactly a call of `transfer`, which moves no coins.
fn erc20_transfer(data: &[u8], value: Amount) -> Result<(Amount, EvmAddress), Refused> {
    let call = data.strip_prefix(&TRANSFER).ok_or_else(|| {
        Refused::new("transaction.evm.call", "no data, or transfer(address,uint256)", call(data))
    })?;
    let (padding, rest) = call.split_at_checked(12).unwrap_or_default();
    let (recipient, amount) = rest.split_at_checked(20).unwrap_or_default();
    let (Ok(recipient), Ok(amount)) = (recipient.try_into(), amount.try_into()) else {
        return Err(transfer(format!("{} bytes", data.len())));
    };
    if padding.iter().any(|byte| *byte != 0) {
        return Err(transfer("a recipient that is no address".to_owned()));
    }
    if value != Amount::ZERO {
        let found = format!("{value} wei");
        return Err(Refused::new("transaction.evm.value", "a token transfer with value 0", found));
    }
    let amount = Amount::from_word(amount).ok_or_else(|| {
        Refused::new("transaction.evm.amount", "an amount below 2^128 units", "2^128 or more")
    })?;
    Ok((amount, EvmAddress::new(recipient)))
}

fn transfer(found: String) -> Refused {
    let allowed = format!("{TRANSFER_BYTES} bytes: transfer, a recipient after 12 zero bytes, an amount");
    Refused::new("transaction.evm.transfer", allowed, found)
}

/// What a call asks for, by name where it would give others power over the key's money.
fn call(data: &[u8]) -> String {
    let Some((selector, _)) = data.split_first_chunk::<4>() else {
        return format!("data of {} bytes", data.len());
    };
    let name = match selector {
        [0x09, 0x5e, 0xa7, 0xb3] => "approve(address,uint256)",
        [0x23, 0xb8, 0x72, 0xdd] => "transferFrom(address,address,uint256)",
        [0x39, 0x50, 0x93, 0x51] => "increaseAllowance(address,uint256)",
        [0xa4, 0x57, 0xc2, 0xd7] => "decreaseAllowance(address,uint256)",
        [0xd5, 0x05, 0xac, 0xcf] => "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        [0x8f, 0xcb, 0xaf, 0x0c] => "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)",
        [0xa2, 0x2c, 0xb4, 0x65] => "setApprovalForAll(address,bool)",
        [0xe3, 0xee, 0x16, 0x0e] => {
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
        }
        other => return format!("a call of 0x{}", data_encoding::HEXLOWER.encode(other)),
    };
    name.to_owned()
}
