//! One transaction of any family: the families' modules, under one roof.

use crate::{
    BitcoinNetwork, Chain, Check, Meter, PublicKey, Refused, Signed, SigningInput, Spends, Summary, bitcoin,
    evm, solana, tron,
};

/// A transaction that was read strictly.
#[derive(Debug, Clone)]
pub enum Transaction {
    /// An unsigned transaction, RLP.
    Evm(evm::Transaction),
    /// A PSBT.
    Bitcoin(bitcoin::Transaction),
    /// A transaction, its message and places for signatures.
    Solana(solana::Transaction),
    /// `raw_data`.
    Tron(tron::Transaction),
}

/// A transaction that matched a whole template. Only this knows what there is to sign.
#[derive(Debug, Clone)]
pub enum Sweep {
    /// Native or ERC-20.
    Evm(evm::Sweep),
    /// One or many keys.
    Bitcoin(bitcoin::Sweep),
    /// SOL or SPL.
    Solana(solana::Sweep),
    /// TRX or TRC-20.
    Tron(tron::Sweep),
}

/// What a policy allows on one family.
#[derive(Debug, Clone, Copy)]
pub enum Rules<'p> {
    /// For EVM.
    Evm(&'p evm::EvmRules),
    /// For Bitcoin.
    Bitcoin(&'p bitcoin::BitcoinRules),
    /// For Solana.
    Solana(&'p solana::SolanaRules),
    /// For Tron.
    Tron(&'p tron::TronRules),
}

macro_rules! of_each {
    ($value:expr, $kind:ident, $inner:ident => $result:expr) => {
        match $value {
            $kind::Evm($inner) => $result,
            $kind::Bitcoin($inner) => $result,
            $kind::Solana($inner) => $result,
            $kind::Tron($inner) => $result,
        }
    };
}

impl Transaction {
    /// Reads a family's unsigned transaction, which must be in its one form.
    ///
    /// # Errors
    /// [`Refused`] with a tag `transaction.…`
    pub fn parse(chain: Chain, bytes: &[u8]) -> Result<Self, Refused> {
        match chain {
            Chain::Evm => evm::Transaction::parse(bytes).map(Self::Evm),
            Chain::Bitcoin => bitcoin::Transaction::parse(bytes).map(Self::Bitcoin),
            Chain::Solana => solana::Transaction::parse(bytes).map(Self::Solana),
            Chain::Tron => tron::Transaction::parse(bytes).map(Self::Tron),
        }
    }

    /// Takes the previous transactions that came beside a PSBT; other families have none.
    ///
    /// # Errors
    /// [`Refused`] with a tag `transaction.…`
    pub fn with_previous(self, previous: &[Vec<u8>]) -> Result<Self, Refused> {
        match self {
            Self::Bitcoin(transaction) => transaction.with_previous(previous).map(Self::Bitcoin),
            other if previous.is_empty() => Ok(other),
            _ => Err(Refused::new(
                "transaction.encoding",
                "previous transactions beside a PSBT alone",
                format!("{} beside another transaction", previous.len()),
            )),
        }
    }

    /// Matches the whole template for the keys that shall sign.
    ///
    /// # Errors
    /// [`Refused`] with a tag `transaction.…`
    pub fn sweep(&self, keys: &[PublicKey], network: BitcoinNetwork) -> Result<Sweep, Refused> {
        match self {
            Self::Evm(transaction) => transaction.sweep(keys).map(Sweep::Evm),
            Self::Bitcoin(transaction) => transaction.sweep(keys, network).map(Sweep::Bitcoin),
            Self::Solana(transaction) => transaction.sweep(keys).map(Sweep::Solana),
            Self::Tron(transaction) => transaction.sweep(keys).map(Sweep::Tron),
        }
    }
}

impl Sweep {
    /// What the signer sees.
    pub fn summary(&self) -> Summary {
        of_each!(self, Self, sweep => sweep.summary())
    }

    /// What would spend what it spends.
    pub fn spends(&self) -> Spends {
        of_each!(self, Self, sweep => sweep.spends())
    }

    /// Whether it moves nothing and only uses up what another transaction spends. No rule allows one;
    /// an order of the operators can.
    pub fn is_void(&self) -> bool {
        match self {
            Self::Evm(sweep) => sweep.is_void(),
            Self::Bitcoin(sweep) => sweep.is_void(),
            Self::Solana(sweep) => sweep.is_void(),
            // Nothing on Tron excludes another transaction.
            Self::Tron(_) => false,
        }
    }

    /// What each key signs.
    pub fn signing_inputs(&self) -> Vec<SigningInput> {
        of_each!(self, Self, sweep => sweep.signing_inputs())
    }

    /// Puts the signatures, in the order of [`Self::signing_inputs`], in their places.
    ///
    /// # Errors
    /// [`Refused`] when one is not by its key over its input.
    pub fn assemble(&self, signatures: &[Vec<u8>]) -> Result<Signed, Refused> {
        of_each!(self, Self, sweep => sweep.assemble(signatures))
    }
}

impl Rules<'_> {
    /// Every rule, applied at `now` (milliseconds since 1970).
    pub fn check(self, sweep: &Sweep, now: u64) -> Vec<Check> {
        match (self, sweep) {
            (Self::Evm(rules), Sweep::Evm(sweep)) => rules.check(sweep, now),
            (Self::Bitcoin(rules), Sweep::Bitcoin(sweep)) => rules.check(sweep, now),
            (Self::Solana(rules), Sweep::Solana(sweep)) => rules.check(sweep, now),
            (Self::Tron(rules), Sweep::Tron(sweep)) => rules.check(sweep, now),
            _ => vec![Check::new("policy.chain", false, "rules of the transaction's family", "another's")],
        }
    }

    /// The rules for a transaction that only uses up what another one spends, once an order of the
    /// operators allows that: what bounds its fee. Anything else is denied.
    pub fn check_void(self, sweep: &Sweep, now: u64) -> Vec<Check> {
        match (self, sweep) {
            _ if !sweep.is_void() => vec![Check::new("policy.void", false, "nothing moved", "a sweep")],
            (Self::Evm(rules), Sweep::Evm(sweep)) => rules.check_void(sweep, now),
            (Self::Bitcoin(rules), Sweep::Bitcoin(sweep)) => rules.check_void(sweep, now),
            (Self::Solana(rules), Sweep::Solana(sweep)) => rules.check_void(sweep, now),
            _ => vec![Check::new("policy.chain", false, "rules of the transaction's family", "another's")],
        }
    }

    /// What the transaction adds to running counts. Nothing where it moves nothing and an order allows it
    /// once, but on Solana, where it may be mined more than once; nothing where the families differ, which
    /// [`Self::check`] refuses.
    pub fn meters(self, sweep: &Sweep) -> Vec<Meter> {
        match (self, sweep) {
            (Self::Evm(rules), Sweep::Evm(sweep)) => rules.meters(sweep),
            (Self::Bitcoin(rules), Sweep::Bitcoin(sweep)) => rules.meters(sweep),
            (Self::Solana(rules), Sweep::Solana(sweep)) => rules.meters(sweep),
            (Self::Tron(rules), Sweep::Tron(sweep)) => rules.meters(sweep),
            _ => Vec::new(),
        }
    }
}
