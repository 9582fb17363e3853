//! Transactions that the adversary makes up, written by `solana-message` as wallets write them. A plan
//! knows what it was asked to move, so nobody has to read it out of the bytes again.

use cofferdam_chains::solana::associated_token_account;
use ed25519_dalek::SigningKey;
use solana_message::{AccountMeta, Address, Hash, Instruction, VersionedMessage, legacy, v0, v1};

/// Deposit keys of the client, by their places: the first two are under one rule set, the others
/// under another.
pub(crate) const OURS: usize = 4;
const TOKEN: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const ASSOCIATED: Address = Address::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
const COMPUTE: Address = Address::from_str_const("ComputeBudget111111111111111111111111111111");
const BLOCKHASHES: Address = Address::from_str_const("SysvarRecentB1ockHashes11111111111111111111");
const SYSTEM: Address = Address::new_from_array([0; 32]);
pub(crate) const DECIMALS: u8 = 6;

/// Whoever may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Ours(usize),
    /// A fee payer that every policy pins; the adversary holds its key.
    Payer,
    Mallory,
}

/// Whoever may be paid: of the first rule set, of the second, of both, of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paid {
    First,
    Second,
    Both,
    Mallory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payment {
    Sol(Vec<(Who, Paid, u64)>),
    Token { mint: u8, to: Paid, created: Option<Who>, paid: Vec<(Who, u64)>, closed: Vec<(Who, Paid)> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Legacy, 0 or 1.
    pub(crate) version: u8,
    pub(crate) payer: Who,
    pub(crate) blockhash: u8,
    pub(crate) nonce: Option<Who>,
    pub(crate) price: Option<u64>,
    pub(crate) payment: Payment,
}

fn seeded(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn address(key: &SigningKey) -> Address {
    Address::new_from_array(key.verifying_key().to_bytes())
}

impl Who {
    pub(crate) fn key(self) -> SigningKey {
        seeded(match self {
            Self::Ours(place) => 10 + u8::try_from(place).unwrap(),
            Self::Payer => 50,
            Self::Mallory => 66,
        })
    }

    pub(crate) fn address(self) -> Address {
        address(&self.key())
    }

    /// Whoever has this address.
    pub(crate) fn of(address: &Address) -> Option<Self> {
        let ours = (0..OURS).map(Self::Ours);
        ours.chain([Self::Payer, Self::Mallory]).find(|who| who.address() == *address)
    }
}

impl Paid {
    pub(crate) fn address(self) -> Address {
        address(&seeded(match self {
            Self::First => 71,
            Self::Second => 72,
            Self::Both => 73,
            Self::Mallory => 67,
        }))
    }

    /// Whether the rule set of the key at this place pins it.
    pub(crate) fn is_pinned_for(self, key: usize) -> bool {
        self == Self::Both || self == if key < OURS / 2 { Self::First } else { Self::Second }
    }
}

/// A listed mint, or wrapped SOL.
pub(crate) fn mint(number: u8) -> Address {
    match number {
        0 => Address::from_str_const("So11111111111111111111111111111111111111112"),
        number => address(&seeded(80 + number)),
    }
}

fn account_of(owner: Address, mint: Address) -> Address {
    let [owner, mint] =
        [owner, mint].map(|address| cofferdam_chains::solana::SolanaAddress::new(address.to_bytes()));
    Address::new_from_array(*associated_token_account(&owner, &mint).unwrap().as_bytes())
}

impl Plan {
    pub(crate) fn message(&self) -> VersionedMessage {
        let (payer, hash) = (self.payer.address(), Hash::new_from_array([self.blockhash; 32]));
        let instructions = self.instructions();
        match self.version {
            0 => VersionedMessage::V0(v0::Message::try_compile(&payer, &instructions, &[], hash).unwrap()),
            1 => {
                let config = v1::TransactionConfig::empty();
                let message = v1::Message::try_compile_with_config(&payer, &instructions, hash, config);
                VersionedMessage::V1(message.unwrap())
            }
            _ => VersionedMessage::Legacy(legacy::Message::new_with_blockhash(
                &instructions,
                Some(&payer),
                &hash,
            )),
        }
    }

    fn instructions(&self) -> Vec<Instruction> {
        let mut all = Vec::new();
        if let Some(authority) = self.nonce {
            let accounts = vec![
                AccountMeta::new(Address::new_from_array([90; 32]), false),
                AccountMeta::new_readonly(BLOCKHASHES, false),
                AccountMeta::new_readonly(authority.address(), true),
            ];
            all.push(instruction(SYSTEM, accounts, &[&4_u32.to_le_bytes()]));
        }
        if let Some(price) = self.price {
            all.push(instruction(COMPUTE, Vec::new(), &[&[3], &price.to_le_bytes()]));
        }
        match &self.payment {
            Payment::Sol(paid) => all.extend(paid.iter().map(|(from, to, lamports)| {
                let accounts =
                    vec![AccountMeta::new(from.address(), true), AccountMeta::new(to.address(), false)];
                instruction(SYSTEM, accounts, &[&2_u32.to_le_bytes(), &lamports.to_le_bytes()])
            })),
            Payment::Token { mint: number, to, created, paid, closed } => {
                let mint = mint(*number);
                let to_account = account_of(to.address(), mint);
                all.extend(created.map(|payer| {
                    let mut accounts =
                        vec![AccountMeta::new(payer.address(), true), AccountMeta::new(to_account, false)];
                    let read = [to.address(), mint, SYSTEM, TOKEN];
                    accounts.extend(read.map(|address| AccountMeta::new_readonly(address, false)));
                    instruction(ASSOCIATED, accounts, &[&[1]])
                }));
                all.extend(paid.iter().map(|(from, amount)| {
                    let accounts = vec![
                        AccountMeta::new(account_of(from.address(), mint), false),
                        AccountMeta::new_readonly(mint, false),
                        AccountMeta::new(to_account, false),
                        AccountMeta::new_readonly(from.address(), true),
                    ];
                    instruction(TOKEN, accounts, &[&[12], &amount.to_le_bytes(), &[DECIMALS]])
                }));
                all.extend(closed.iter().map(|(owner, to)| {
                    let accounts = vec![
                        AccountMeta::new(account_of(owner.address(), mint), false),
                        AccountMeta::new(to.address(), false),
                        AccountMeta::new_readonly(owner.address(), true),
                    ];
                    instruction(TOKEN, accounts, &[&[9]])
                }));
            }
        }
        all
    }

    /// The asset that moves: `native`, or the mint.
    pub(crate) fn asset(&self) -> String {
        match &self.payment {
            Payment::Sol(_) => "native".to_owned(),
            Payment::Token { mint: number, .. } => mint(*number).to_string(),
        }
    }

    /// Who gives how much of it, and to whom; each once for each instruction.
    pub(crate) fn moves(&self) -> Vec<(Who, Paid, u64)> {
        match &self.payment {
            Payment::Sol(paid) => paid.clone(),
            Payment::Token { to, paid, .. } => {
                paid.iter().map(|(from, amount)| (*from, *to, *amount)).collect()
            }
        }
    }

    /// Whose account's lamports are paid out, and to whom. They are the balance in wrapped SOL.
    pub(crate) fn closes(&self) -> Vec<(Who, Paid)> {
        match &self.payment {
            Payment::Sol(_) => Vec::new(),
            Payment::Token { closed, .. } => closed.clone(),
        }
    }

    /// What the fee payer loses at most, and whoever pays for a new account: 5,000 lamports a signature,
    /// the price of 200,000 units for each instruction, the rent.
    pub(crate) fn costs(&self) -> Vec<(Who, u128)> {
        let message = self.message();
        let signatures = u128::from(message.header().num_required_signatures) * 5_000;
        let units = (message.instructions().len() as u128 * 200_000).min(1_400_000);
        let priority = (u128::from(self.price.unwrap_or_default()) * units).div_ceil(1_000_000);
        let rent = match &self.payment {
            Payment::Token { created: Some(payer), .. } => Some((*payer, 2_039_280)),
            _ => None,
        };
        [(self.payer, signatures + priority)].into_iter().chain(rent).collect()
    }
}

fn instruction(program_id: Address, accounts: Vec<AccountMeta>, data: &[&[u8]]) -> Instruction {
    Instruction { program_id, accounts, data: data.concat() }
}
