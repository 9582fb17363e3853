//! The message of a transaction, which is all that its signatures commit to: legacy, or version 0
//! without lookup tables (Solana documentation, "Transactions: Message").
//!
//! Lookup tables would name accounts that the message does not hold, so nobody could say here whom
//! it pays.

use super::{
    SolanaAddress,
    reader::{ENCODING, put_length},
};
use crate::{Refused, reader::Reader};

pub(super) const VERSION: &str = "transaction.solana.version";
const HEADER: &str = "transaction.solana.header";
const ACCOUNTS: &str = "transaction.solana.accounts";

/// Set in the first byte of every message that is not legacy; the rest of the byte is the version.
const VERSIONED: u8 = 0x80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Legacy,
    V0,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) version: Version,
    header: Header,
    pub(super) accounts: Vec<SolanaAddress>,
    pub(super) recent_blockhash: [u8; 32],
    pub(super) instructions: Vec<Instruction>,
}

/// How many of the accounts sign, and how many are read only. Signers come first; of the signers,
/// as of the others, those that are read only come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    signers: u8,
    read_only_signers: u8,
    read_only_others: u8,
}

/// A call of a program. Accounts are positions in the message's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) program: u8,
    pub(super) accounts: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// What the message lets happen to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Role {
    pub(super) signs: bool,
    pub(super) writable: bool,
}

impl Role {
    /// What both together need.
    pub(super) const fn and(self, other: Self) -> Self {
        Self { signs: self.signs || other.signs, writable: self.writable || other.writable }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match (self.signs, self.writable) {
            (true, true) => "signer, writable",
            (true, false) => "signer, read only",
            (false, true) => "no signer, writable",
            (false, false) => "no signer, read only",
        }
    }
}

impl Message {
    /// Reads a message to the end of the input.
    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, Refused> {
        let version = version(&mut reader)?;
        let header =
            Header { signers: reader.u8()?, read_only_signers: reader.u8()?, read_only_others: reader.u8()? };
        let count = reader.length()?;
        let mut accounts = Vec::new();
        for _ in 0..count {
            accounts.push(SolanaAddress::new(reader.array()?));
        }
        let recent_blockhash = reader.array()?;
        let count = reader.length()?;
        let mut instructions = Vec::new();
        for _ in 0..count {
            instructions.push(Instruction::parse(&mut reader)?);
        }
        if version == Version::V0 {
            let tables = reader.length()?;
            if tables != 0 {
                let found = format!("{tables} lookup tables");
                return Err(Refused::new("transaction.solana.lookup_tables", "no lookup table", found));
            }
        }
        reader.end("the transaction")?;
        let message = Self { version, header, accounts, recent_blockhash, instructions };
        message.check_header()?;
        message.check_accounts()?;
        Ok(message)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.version == Version::V0 {
            out.push(VERSIONED);
        }
        out.extend([self.header.signers, self.header.read_only_signers, self.header.read_only_others]);
        put_length(out, self.accounts.len());
        self.accounts.iter().for_each(|account| out.extend(account.as_bytes()));
        out.extend(self.recent_blockhash);
        put_length(out, self.instructions.len());
        for instruction in &self.instructions {
            out.push(instruction.program);
            put_length(out, instruction.accounts.len());
            out.extend(&instruction.accounts);
            put_length(out, instruction.data.len());
            out.extend(&instruction.data);
        }
        if self.version == Version::V0 {
            put_length(out, 0);
        }
    }

    /// Those whose signatures the transaction carries, in their order; the first pays the fee.
    pub(super) fn signers(&self) -> &[SolanaAddress] {
        self.accounts.get(..usize::from(self.header.signers)).unwrap_or_default()
    }

    /// The role of the account at this position.
    pub(super) fn role(&self, position: usize) -> Role {
        let signers = usize::from(self.header.signers);
        let signs = position < signers;
        let (end, read_only) = if signs {
            (signers, self.header.read_only_signers)
        } else {
            (self.accounts.len(), self.header.read_only_others)
        };
        Role { signs, writable: position < end.saturating_sub(read_only.into()) }
    }

    fn check_header(&self) -> Result<(), Refused> {
        let Header { signers, read_only_signers, read_only_others } = self.header;
        if read_only_signers >= signers {
            let found = format!("{signers} signers, {read_only_signers} of them read only");
            return Err(Refused::new(HEADER, "a writable signer, who pays the fee", found));
        }
        if usize::from(signers).saturating_add(read_only_others.into()) > self.accounts.len() {
            let found = format!("{signers} signers and {read_only_others} read-only accounts");
            return Err(Refused::new(HEADER, format!("at most {} accounts", self.accounts.len()), found));
        }
        Ok(())
    }

    /// That each account is listed once, that each position names one, and that each is used.
    fn check_accounts(&self) -> Result<(), Refused> {
        let mut used = vec![false; self.accounts.len()];
        let mut mark = |position: u8| match used.get_mut(usize::from(position)) {
            Some(used) => {
                *used = true;
                Ok(())
            }
            None => {
                let allowed = format!("a position among {} accounts", self.accounts.len());
                Err(Refused::new(ACCOUNTS, allowed, format!("position {position}")))
            }
        };
        mark(0)?;
        for instruction in &self.instructions {
            if instruction.program == 0 {
                return Err(Refused::new(ACCOUNTS, "a program that does not pay the fee", "position 0"));
            }
            mark(instruction.program)?;
            instruction.accounts.iter().try_for_each(|position| mark(*position))?;
        }
        for (position, (account, used)) in self.accounts.iter().zip(&used).enumerate() {
            if !used {
                return Err(Refused::new(ACCOUNTS, "only accounts that are used", account.to_string()));
            }
            if self.accounts.iter().take(position).any(|other| other == account) {
                return Err(Refused::new(ACCOUNTS, "each account once", account.to_string()));
            }
        }
        Ok(())
    }
}

impl Instruction {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let program = reader.u8()?;
        let (accounts, data) = (reader.counted()?.to_vec(), reader.counted()?.to_vec());
        Ok(Self { program, accounts, data })
    }
}

fn version(reader: &mut Reader<'_>) -> Result<Version, Refused> {
    match reader.peek() {
        None => Err(Refused::new(ENCODING, "a message", "the end of the transaction")),
        Some(first) if first & VERSIONED == 0 => Ok(Version::Legacy),
        Some(VERSIONED) => reader.u8().map(|_| Version::V0),
        Some(other) => {
            Err(Refused::new(VERSION, "a legacy message or version 0", format!("version {}", other & 0x7f)))
        }
    }
}
