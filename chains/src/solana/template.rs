//! The template of a sweep: the whole transaction matches it, or is refused.
//!
//! The instructions come in this order:
//! 1. AdvanceNonceAccount, at most once;
//! 2. SetComputeUnitLimit and SetComputeUnitPrice, each at most once, in either order;
//! 3. for tokens, CreateIdempotent of the destination, at most once, paid by the fee payer;
//! 4. Transfers of SOL from the request's keys; or TransferChecked by them, all of one mint of the
//!    classic Token program to one token account;
//! 5. for tokens, CloseAccount of accounts that step 4 paid from, each at most once.
//!
//! A transaction of steps 1 and 2 alone, with AdvanceNonceAccount, moves nothing: it ends what was
//! signed with the account's value. An order must allow it.
//!
//! Every account is a signer and writable exactly where an instruction needs it, or where it pays
//! the fee. Whom it pays, and who the fee payer and the nonce's authority are, is for the rules.

use super::{
    Closing, NewAccount, Nonce, SolanaAddress, Sweep, Transaction, fee,
    instruction::Action,
    message::{Message, Role},
    programs::WRAPPED_SOL,
    sweep::{Moved, Paid, TokenPayment, verified},
    transaction::{SIGNATURE, UNSIGNED},
};
use crate::{PublicKey, Refused};

const KEYS: &str = "transaction.solana.keys";
const ORDER: &str = "transaction.solana.order";
const AMOUNT: &str = "transaction.solana.amount";
const COMPUTE: &str = "transaction.solana.compute";
const CREATE: &str = "transaction.solana.create";
const CLOSE: &str = "transaction.solana.close";

/// The steps of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Nonce,
    Compute,
    Create,
    Pay,
    Close,
}

/// What has matched so far.
struct Match<'a> {
    keys: &'a [SolanaAddress],
    fee_payer: SolanaAddress,
    step: Step,
    nonce: Option<Nonce>,
    unit_limit: Option<u32>,
    unit_price: Option<u64>,
    /// With the mint.
    creates: Option<(NewAccount, SolanaAddress)>,
    payment: Option<Moved>,
    /// The token accounts that were paid from, with their authority.
    paid_from: Vec<(SolanaAddress, SolanaAddress)>,
}

impl Transaction {
    /// Matches the whole transaction against the template of a sweep by `keys`, the request's.
    ///
    /// Every key signs and gives something or pays the fee; nobody else signs but the fee payer.
    /// The keys' signatures are still zero. The fee payer's, where it is no key of the request, is
    /// zero or valid.
    ///
    /// # Errors
    /// `transaction.solana.…`: those of [`Transaction::parse`] and `keys`, `instruction`, `order`,
    /// `roles`, `amount`, `compute`, `close`, `create`, `fee`.
    pub fn sweep(&self, keys: &[PublicKey]) -> Result<Sweep, Refused> {
        let keys = addresses(keys)?;
        let places = places(self, &keys)?;
        let message = &self.message;
        let fee_payer =
            message.signers().first().copied().ok_or_else(|| Refused::new(KEYS, "a signer", "none"))?;
        let mut found = Match {
            keys: &keys,
            fee_payer,
            step: Step::Nonce,
            nonce: None,
            unit_limit: None,
            unit_price: None,
            creates: None,
            payment: None,
            paid_from: Vec::new(),
        };
        let mut roles = vec![Role::default(); message.accounts.len()];
        if let Some(payer) = roles.first_mut() {
            *payer = Role { signs: true, writable: true };
        }
        for instruction in &message.instructions {
            found.take(Action::read(message, instruction, &mut roles)?)?;
        }
        same_roles(message, &roles)?;
        let payment = match found.payment {
            Some(payment) => payment,
            None if found.nonce.is_some() && found.creates.is_none() => Moved::Nothing,
            None => return Err(Refused::new(ORDER, "a transfer", "none")),
        };
        let (unit_limit, unit_price) = (found.unit_limit, found.unit_price);
        let limit = unit_limit.unwrap_or_else(|| fee::default_unit_limit(message.instructions.len()));
        let fee = fee::most(
            message.signers().len(),
            unit_price.unwrap_or_default(),
            limit,
            found.creates.is_some(),
        )?;
        let transaction = self.clone();
        let nonce = found.nonce;
        let sweep = Sweep { transaction, places, fee_payer, nonce, unit_limit, unit_price, payment, fee };
        sweep.every_key_has_a_part(&keys)?;
        Ok(sweep)
    }
}

impl Sweep {
    /// That no key signs for nothing: it would lend its name to what others do.
    fn every_key_has_a_part(&self, keys: &[SolanaAddress]) -> Result<(), Refused> {
        // Where nothing is paid, advancing the nonce is a part; elsewhere it is not.
        let advances = |key: &SolanaAddress| {
            self.is_void() && self.nonce.is_some_and(|Nonce { authority, .. }| authority == *key)
        };
        let idle =
            |key: usize| self.places.get(key) != Some(&0) && !self.paid().iter().any(|paid| paid.key == key);
        match keys.iter().enumerate().find(|(at, key)| idle(*at) && !advances(key)) {
            None => Ok(()),
            Some((_, key)) => {
                Err(Refused::new(KEYS, "keys that each give something or pay the fee", key.to_string()))
            }
        }
    }
}

impl Match<'_> {
    fn take(&mut self, action: Action) -> Result<(), Refused> {
        match action {
            Action::AdvanceNonce { account, authority } => {
                self.proceed(Step::Nonce, "AdvanceNonceAccount")?;
                once(&mut self.nonce, Nonce { account, authority }, "AdvanceNonceAccount")
            }
            Action::UnitLimit(units) => {
                self.proceed(Step::Compute, "SetComputeUnitLimit")?;
                if units > fee::MAX_UNIT_LIMIT {
                    let allowed = format!("at most {} compute units", fee::MAX_UNIT_LIMIT);
                    return Err(Refused::new(COMPUTE, allowed, units.to_string()));
                }
                once(&mut self.unit_limit, units, "SetComputeUnitLimit")
            }
            Action::UnitPrice(price) => {
                self.proceed(Step::Compute, "SetComputeUnitPrice")?;
                once(&mut self.unit_price, price, "SetComputeUnitPrice")
            }
            Action::CreateIdempotent { payer, account, owner, mint } => {
                self.proceed(Step::Create, "CreateIdempotent")?;
                if payer != self.fee_payer {
                    let allowed = format!("the fee payer {} to pay for the account", self.fee_payer);
                    return Err(Refused::new(CREATE, allowed, payer.to_string()));
                }
                once(&mut self.creates, (NewAccount { account, owner }, mint), "CreateIdempotent")
            }
            Action::Transfer { from, to, lamports } => {
                self.proceed(Step::Pay, "Transfer of the System program")?;
                self.pay_sol(from, to, lamports)
            }
            Action::TransferChecked { source, mint, destination, authority, amount, decimals } => {
                self.proceed(Step::Pay, "TransferChecked")?;
                let paid = Paid { key: self.key(authority)?, destination, amount };
                moves(amount, source, destination)?;
                self.paid_from.push((source, authority));
                self.pay_token(mint, decimals, paid)
            }
            Action::CloseAccount { account, destination, authority } => {
                self.proceed(Step::Close, "CloseAccount")?;
                self.close(Closing { account, destination }, authority)
            }
        }
    }

    /// That nothing of a later step came before.
    fn proceed(&mut self, step: Step, name: &str) -> Result<(), Refused> {
        if self.step > step || (step == Step::Nonce && self.nonce.is_some()) {
            let allowed =
                "AdvanceNonceAccount, ComputeBudget, CreateIdempotent, transfers, CloseAccount in this order";
            return Err(Refused::new(ORDER, allowed, format!("{name} after another")));
        }
        self.step = step;
        Ok(())
    }

    fn pay_sol(&mut self, from: SolanaAddress, to: SolanaAddress, lamports: u64) -> Result<(), Refused> {
        moves(lamports, from, to)?;
        let paid = Paid { key: self.key(from)?, destination: to, amount: lamports };
        if self.creates.is_some() {
            return Err(Refused::new(CREATE, "CreateIdempotent with TransferChecked only", "Transfer"));
        }
        match self.payment.get_or_insert(Moved::Sol(Vec::new())) {
            Moved::Sol(all) => all.push(paid),
            Moved::Nothing | Moved::Token(_) => return Err(mixed()),
        }
        Ok(())
    }

    fn pay_token(&mut self, mint: SolanaAddress, decimals: u8, paid: Paid) -> Result<(), Refused> {
        let destination = paid.destination;
        let creates = match self.creates {
            None => None,
            Some((new, of)) if new.account == destination && of == mint => Some(new),
            Some((new, of)) => {
                let found = format!("{} of the mint {of}", new.account);
                return Err(Refused::new(CREATE, format!("{destination} of the mint {mint}"), found));
            }
        };
        let first =
            TokenPayment { mint, decimals, destination, paid: Vec::new(), creates, closes: Vec::new() };
        match self.payment.get_or_insert(Moved::Token(first)) {
            Moved::Nothing | Moved::Sol(_) => return Err(mixed()),
            Moved::Token(token) => {
                if (token.mint, token.decimals, token.destination) != (mint, decimals, destination) {
                    let found = format!("another of {mint} to {destination}");
                    let allowed = format!("transfers of {} to {}", token.mint, token.destination);
                    return Err(Refused::new(ORDER, allowed, found));
                }
                token.paid.push(paid);
            }
        }
        Ok(())
    }

    /// Closing pays out lamports that the transaction does not name. They are the rent of an account
    /// whose tokens this very transaction moved; in wrapped SOL they would be the balance.
    fn close(&mut self, closing: Closing, authority: SolanaAddress) -> Result<(), Refused> {
        let Closing { account, destination } = closing;
        self.key(authority)?;
        let Some(Moved::Token(token)) = &mut self.payment else {
            return Err(Refused::new(
                CLOSE,
                "an account that TransferChecked paid from",
                account.to_string(),
            ));
        };
        if token.mint == WRAPPED_SOL {
            return Err(Refused::new(CLOSE, "an account of another token than SOL", "wrapped SOL"));
        }
        if !self.paid_from.contains(&(account, authority)) {
            let allowed = "an account that TransferChecked paid from, by the same key";
            return Err(Refused::new(CLOSE, allowed, account.to_string()));
        }
        if token.closes.iter().any(|other| other.account == account) {
            return Err(Refused::new(CLOSE, "CloseAccount once", account.to_string()));
        }
        if account == destination {
            return Err(Refused::new(CLOSE, "another account to pay", account.to_string()));
        }
        token.closes.push(closing);
        Ok(())
    }

    /// The position of an account among the request's keys.
    fn key(&self, account: SolanaAddress) -> Result<usize, Refused> {
        let other = || Refused::new(KEYS, "a key of the request to give", account.to_string());
        self.keys.iter().position(|key| *key == account).ok_or_else(other)
    }
}

fn addresses(keys: &[PublicKey]) -> Result<Vec<SolanaAddress>, Refused> {
    let mut addresses = Vec::with_capacity(keys.len());
    for key in keys {
        let PublicKey::Ed25519(bytes) = key else {
            return Err(Refused::new(KEYS, "Ed25519 keys", "a key of another curve"));
        };
        let address = SolanaAddress::new(*bytes);
        if addresses.contains(&address) {
            return Err(Refused::new(KEYS, "each key once", address.to_string()));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// Where each key signs. Checks who signs, and which signatures are there.
fn places(transaction: &Transaction, keys: &[SolanaAddress]) -> Result<Vec<usize>, Refused> {
    let signers = transaction.signers();
    if keys.is_empty() {
        return Err(Refused::new(KEYS, "a key", "none"));
    }
    if let Some(other) = signers.iter().skip(1).find(|signer| !keys.contains(signer)) {
        return Err(Refused::new(KEYS, "no signer but the keys and the fee payer", other.to_string()));
    }
    let mut places = Vec::with_capacity(keys.len());
    for key in keys {
        let missing = || Refused::new(KEYS, format!("the signer {key}"), "no such signer");
        places.push(signers.iter().position(|signer| signer == key).ok_or_else(missing)?);
    }
    let signed = signers.iter().zip(&transaction.signatures).filter(|(_, one)| **one != UNSIGNED);
    for (signer, signature) in signed {
        if keys.contains(signer) {
            return Err(Refused::new(SIGNATURE, format!("zero in the place of {signer}"), "a signature"));
        }
        verified(signer, &transaction.message_bytes(), signature)?;
    }
    Ok(places)
}

/// That the message gives each account the role that the instructions need, no less and no more.
fn same_roles(message: &Message, needed: &[Role]) -> Result<(), Refused> {
    for (position, (account, needed)) in message.accounts.iter().zip(needed).enumerate() {
        let found = message.role(position);
        if found != *needed {
            let allowed = format!("{account} as {}", needed.as_str());
            return Err(Refused::new("transaction.solana.roles", allowed, found.as_str()));
        }
    }
    Ok(())
}

fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), Refused> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refused::new(ORDER, format!("{name} once"), "another")),
    }
}

/// That a transfer moves something.
fn moves(amount: u64, from: SolanaAddress, to: SolanaAddress) -> Result<(), Refused> {
    if amount == 0 {
        return Err(Refused::new(AMOUNT, "more than 0", "0"));
    }
    if from == to {
        return Err(Refused::new(AMOUNT, "a transfer to another account", to.to_string()));
    }
    Ok(())
}

fn mixed() -> Refused {
    Refused::new(ORDER, "transfers of SOL or of one token", "both")
}
