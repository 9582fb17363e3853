//! The instructions that a sweep may hold, each read completely: its program, its data to the last
//! byte, each of its accounts, and what the program needs of each (signer, writable), as the
//! program's own builder writes it. Whatever else there is gets refused by its name.
//!
//! Sources: `solana-system-interface`, `solana-compute-budget-interface`, `spl-token-interface`,
//! `spl-associated-token-account-interface`.

use super::{
    SolanaAddress,
    message::{Instruction, Message, Role},
    names,
    programs::{ASSOCIATED_TOKEN, COMPUTE_BUDGET, RECENT_BLOCKHASHES, SYSTEM, TOKEN, name_of},
};
use crate::Refused;

pub(super) const INSTRUCTION: &str = "transaction.solana.instruction";

const WRITABLE: Role = Role { signs: false, writable: true };
const READ: Role = Role { signs: false, writable: false };
const SIGNER: Role = Role { signs: true, writable: false };
const PAYER: Role = Role { signs: true, writable: true };

/// An instruction of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// System: the nonce account's value becomes another, so that this transaction works once.
    AdvanceNonce { account: SolanaAddress, authority: SolanaAddress },
    /// ComputeBudget: so many compute units at most.
    UnitLimit(u32),
    /// ComputeBudget: so many micro-lamports for a compute unit.
    UnitPrice(u64),
    /// Associated Token Account: makes the account unless it is there.
    CreateIdempotent {
        payer: SolanaAddress,
        account: SolanaAddress,
        owner: SolanaAddress,
        mint: SolanaAddress,
    },
    /// System: lamports move.
    Transfer { from: SolanaAddress, to: SolanaAddress, lamports: u64 },
    /// Token: base units of a mint move.
    TransferChecked {
        source: SolanaAddress,
        mint: SolanaAddress,
        destination: SolanaAddress,
        authority: SolanaAddress,
        amount: u64,
        decimals: u8,
    },
    /// Token: an empty token account ends, its lamports move.
    CloseAccount { account: SolanaAddress, destination: SolanaAddress, authority: SolanaAddress },
}

impl Action {
    /// Reads an instruction of `message`, and adds what it needs of each account to `roles`, by the
    /// account's position.
    pub(super) fn read(
        message: &Message,
        instruction: &Instruction,
        roles: &mut [Role],
    ) -> Result<Self, Refused> {
        let program = account(message, instruction.program)?;
        let mut call = Call { message, instruction, roles };
        match program {
            SYSTEM => call.system(),
            COMPUTE_BUDGET => call.compute_budget(),
            ASSOCIATED_TOKEN => call.associated_token(),
            TOKEN => call.token(),
            other => Err(not_in_a_sweep(match name_of(&other) {
                Some(name) => format!("a call of {name}"),
                None => format!("a call of the program {other}"),
            })),
        }
    }
}

/// An instruction that is being read.
struct Call<'a> {
    message: &'a Message,
    instruction: &'a Instruction,
    roles: &'a mut [Role],
}

impl Call<'_> {
    fn system(&mut self) -> Result<Action, Refused> {
        match number(&self.instruction.data) {
            Some((2, data)) => {
                let name = "Transfer of the System program";
                let lamports = u64::from_le_bytes(exact(data, name)?);
                let [from, to] = self.accounts(name, [PAYER, WRITABLE])?;
                Ok(Action::Transfer { from, to, lamports })
            }
            Some((4, data)) => {
                let name = "AdvanceNonceAccount of the System program";
                let [] = exact(data, name)?;
                let [account, sysvar, authority] = self.accounts(name, [WRITABLE, READ, SIGNER])?;
                same(name, sysvar, RECENT_BLOCKHASHES)?;
                Ok(Action::AdvanceNonce { account, authority })
            }
            Some((other, _)) => {
                Err(not_in_a_sweep(format!("{} of the System program", names::system(other))))
            }
            None => Err(not_in_a_sweep("an unknown instruction of the System program")),
        }
    }

    fn compute_budget(&mut self) -> Result<Action, Refused> {
        match self.instruction.data.split_first() {
            Some((2, data)) => {
                let name = "SetComputeUnitLimit";
                let units = u32::from_le_bytes(exact(data, name)?);
                let [] = self.accounts(name, [])?;
                Ok(Action::UnitLimit(units))
            }
            Some((3, data)) => {
                let name = "SetComputeUnitPrice";
                let price = u64::from_le_bytes(exact(data, name)?);
                let [] = self.accounts(name, [])?;
                Ok(Action::UnitPrice(price))
            }
            other => {
                let name = names::compute_budget(other.map(|(first, _)| *first));
                Err(not_in_a_sweep(format!("{name} of the ComputeBudget program")))
            }
        }
    }

    fn associated_token(&mut self) -> Result<Action, Refused> {
        match self.instruction.data.split_first() {
            Some((1, data)) => {
                let name = "CreateIdempotent";
                let [] = exact(data, name)?;
                let roles = [PAYER, WRITABLE, READ, READ, READ, READ];
                let [payer, account, owner, mint, system, token] = self.accounts(name, roles)?;
                same(name, system, SYSTEM)?;
                same(name, token, TOKEN)?;
                Ok(Action::CreateIdempotent { payer, account, owner, mint })
            }
            other => {
                let name = names::associated_token(other.map(|(first, _)| *first));
                Err(not_in_a_sweep(format!("{name} of the Associated Token Account program")))
            }
        }
    }

    fn token(&mut self) -> Result<Action, Refused> {
        match self.instruction.data.split_first() {
            Some((9, data)) => {
                let name = "CloseAccount";
                let [] = exact(data, name)?;
                let [account, destination, authority] = self.accounts(name, [WRITABLE, WRITABLE, SIGNER])?;
                Ok(Action::CloseAccount { account, destination, authority })
            }
            Some((12, data)) => {
                let name = "TransferChecked";
                let [amount @ .., decimals] = exact::<9>(data, name)?;
                let amount = u64::from_le_bytes(amount);
                let roles = [WRITABLE, READ, WRITABLE, SIGNER];
                let [source, mint, destination, authority] = self.accounts(name, roles)?;
                Ok(Action::TransferChecked { source, mint, destination, authority, amount, decimals })
            }
            other => {
                let name = names::token(other.map(|(first, _)| *first));
                Err(not_in_a_sweep(format!("{name} of the Token program")))
            }
        }
    }

    /// The accounts, which must be exactly so many; what is needed of them is noted.
    fn accounts<const N: usize>(
        &mut self,
        name: &str,
        needs: [Role; N],
    ) -> Result<[SolanaAddress; N], Refused> {
        let positions: [u8; N] = self.instruction.accounts.as_slice().try_into().map_err(|_| {
            let found = format!("{} accounts", self.instruction.accounts.len());
            Refused::new(INSTRUCTION, format!("{name} with {N} accounts"), found)
        })?;
        let mut accounts = [SYSTEM; N];
        for ((slot, position), need) in accounts.iter_mut().zip(positions).zip(needs) {
            *slot = account(self.message, position)?;
            if let Some(role) = self.roles.get_mut(usize::from(position)) {
                *role = role.and(need);
            }
        }
        Ok(accounts)
    }
}

/// The account at a position, which parsing has checked.
fn account(message: &Message, position: u8) -> Result<SolanaAddress, Refused> {
    let missing = || Refused::new(INSTRUCTION, "a position among the accounts", format!("{position}"));
    message.accounts.get(usize::from(position)).copied().ok_or_else(missing)
}

/// The number of an instruction of the System program, and the data after it.
fn number(data: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = data.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn exact<const N: usize>(data: &[u8], name: &str) -> Result<[u8; N], Refused> {
    let other = |_| {
        let allowed = format!("{name} with {N} bytes of data after its number");
        Refused::new(INSTRUCTION, allowed, format!("{} bytes", data.len()))
    };
    data.try_into().map_err(other)
}

fn same(name: &str, found: SolanaAddress, expected: SolanaAddress) -> Result<(), Refused> {
    if found == expected {
        return Ok(());
    }
    let expected = name_of(&expected).unwrap_or("another account");
    Err(Refused::new(INSTRUCTION, format!("{name} with {expected} in its place"), found.to_string()))
}

fn not_in_a_sweep(found: impl Into<String>) -> Refused {
    let allowed = "AdvanceNonceAccount, SetComputeUnitLimit, SetComputeUnitPrice, CreateIdempotent, Transfer of \
                   the System program, TransferChecked or CloseAccount";
    Refused::new(INSTRUCTION, allowed, found)
}
