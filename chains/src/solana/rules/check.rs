//! Rules applied to a sweep: every rule says what it found and what it allows.

use super::{FeePayer, SolanaRules, SplToken};
use crate::{
    Amount, Check, Meter,
    limits::{at_least, at_most},
    solana::{
        SolanaAddress, Sweep,
        sweep::{Moved, TokenPayment},
    },
    sweep::void,
};

const ASSET: &str = "policy.solana.asset";
const DECIMALS: &str = "policy.solana.decimals";
const DESTINATION: &str = "policy.solana.destination";
const MIN_AMOUNT: &str = "policy.solana.min_amount";
const MAX_FEE_PERMILLE: &str = "policy.solana.max_fee_permille";
const CREATE: &str = "policy.solana.create";
const CLOSE: &str = "policy.solana.close";
const FEE_PAYER: &str = "policy.solana.fee_payer";
const NONCE_AUTHORITY: &str = "policy.solana.nonce_authority";
const COMPUTE: &str = "policy.solana.compute";
const FEE: &str = "policy.solana.fee";
const VELOCITY: &str = "policy.solana.velocity";

impl SolanaRules {
    /// Every rule that applies to `sweep`, in a fixed order. Nothing in a transaction of Solana's
    /// says a time, so `_now` (milliseconds since 1970) decides nothing: a blockhash is good for some 150
    /// blocks, a nonce's value until it is advanced.
    ///
    /// Tags: `policy.solana.…`: `asset`, `min_amount`, `max_fee_permille`, `decimals`, `destination`,
    /// `create`, `close`, `fee_payer`, `nonce_authority`, `compute`, `fee`. A transaction that only
    /// advances a nonce account is denied (`policy.void`).
    pub fn check(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        let mut checks = Vec::new();
        match &sweep.payment {
            Moved::Nothing => return vec![void("solana.advance")],
            Moved::Sol(_) => self.check_sol(sweep, &mut checks),
            Moved::Token(token) => self.check_token(sweep, token, &mut checks),
        }
        self.check_fee(sweep, &mut checks);
        checks
    }

    /// The rules for a transaction that only advances a nonce account, which an order allows: who
    /// pays the fee, whose nonce it is, and what bounds the fee.
    pub fn check_void(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        let mut checks = Vec::new();
        self.check_fee(sweep, &mut checks);
        checks
    }

    fn check_fee(&self, sweep: &Sweep, checks: &mut Vec<Check>) {
        checks.push(self.fee_payer(sweep));
        if let Some(nonce) = sweep.nonce {
            let known = &self.given.nonce_authorities;
            let found = nonce.authority;
            checks.push(Check::new(
                NONCE_AUTHORITY,
                known.contains(&found),
                self.given.nonce_authorities.listed(),
                found.to_string(),
            ));
        }
        let (price, most) = (Amount::from(sweep.unit_price()), self.given.max_unit_price);
        let unit = "micro-lamports for a compute unit";
        checks.push(Check::new(COMPUTE, price <= most, format!("at most {most} {unit}"), format!("{price}")));
        let (limit, most) = (sweep.unit_limit(), self.given.max_unit_limit);
        let allowed = format!("at most {most} compute units");
        checks.push(Check::new(COMPUTE, limit <= most, allowed, format!("{limit}")));
        checks.push(at_most(FEE, self.given.fee.per_transaction, sweep.fee, "lamports"));
    }

    /// What `sweep` adds to the running counts: `solana/native` or `solana/<mint>`, and
    /// `solana/fee`. The fee counts for the fee payer's key, or for the first key of the request
    /// where the fee payer is none of them. Each message counts for itself; also one that only advances a
    /// nonce account, since several may be mined.
    ///
    /// Lamports of closed accounts are not counted: the transaction does not say how many they are.
    /// They are the rent of an account whose tokens the transaction moves, at most 2,039,280 lamports
    /// unless somebody sent more to it, and go to a pinned destination.
    pub fn meters(&self, sweep: &Sweep) -> Vec<Meter> {
        let asset = match &sweep.payment {
            Moved::Nothing => None,
            Moved::Sol(_) => {
                self.given.native.as_ref().map(|native| ("native".to_owned(), native.velocity()))
            }
            Moved::Token(paid) => {
                self.token(&paid.mint).map(|(token, _)| (paid.mint.to_string(), token.velocity))
            }
        };
        let asset = asset.map(|(name, velocity)| {
            let counts = sweep.sources().into_iter().map(|(key, amount)| sweep.count(key, amount));
            Meter::of_asset(format!("solana/{name}"), VELOCITY, counts.collect(), velocity)
        });
        let fee = vec![sweep.count(sweep.fee_payer_key().unwrap_or_default(), sweep.fee)];
        let fee = Meter::of_fee("solana/fee".to_owned(), FEE, fee, self.given.fee);
        asset.into_iter().chain([fee]).collect()
    }

    fn check_sol(&self, sweep: &Sweep, checks: &mut Vec<Check>) {
        let listed = self.given.native.is_some();
        checks.push(Check::new(ASSET, listed, if listed { "native" } else { "no SOL" }, "native"));
        if let Some(native) = &self.given.native {
            checks.extend(native.check((MIN_AMOUNT, MAX_FEE_PERMILLE), sweep.moved(), sweep.fee, "lamports"));
        }
        self.pinned(DESTINATION, sweep.paid().iter().map(|paid| paid.destination), checks);
    }

    /// That each of the accounts that are paid is a pinned owner.
    fn pinned(&self, tag: &'static str, paid: impl Iterator<Item = SolanaAddress>, checks: &mut Vec<Check>) {
        let mut seen = Vec::new();
        for found in paid {
            if !seen.contains(&found) {
                seen.push(found);
                let holds = self.given.destinations.contains(&found);
                checks.push(Check::new(tag, holds, self.given.destinations.listed(), found.to_string()));
            }
        }
    }

    fn check_token(&self, sweep: &Sweep, paid: &TokenPayment, checks: &mut Vec<Check>) {
        let owners = &self.given.destinations;
        let mint = paid.mint.to_string();
        let (accounts, decimals) = match self.token(&paid.mint) {
            Some((token, accounts)) => {
                checks.push(Check::new(ASSET, true, token.symbol.to_string(), mint));
                checks.push(at_least(MIN_AMOUNT, token.min_amount, sweep.moved(), "base units"));
                (accounts, Some(token.decimals))
            }
            None => {
                checks.push(Check::new(ASSET, false, self.given.tokens.listed(), mint));
                (&[][..], None)
            }
        };
        if let Some(decimals) = decimals {
            let (allowed, found) = (decimals.to_string(), paid.decimals.to_string());
            checks.push(Check::new(DECIMALS, decimals == paid.decimals, allowed, found));
        }
        let place = accounts.iter().position(|account| *account == paid.destination);
        let allowed = format!("the associated token account of {}", self.given.destinations.listed());
        checks.push(Check::new(DESTINATION, place.is_some(), allowed, paid.destination.to_string()));
        if let Some(new) = paid.creates {
            let owner = place.and_then(|place| owners.get(place));
            let holds = owner == Some(&new.owner) && new.account == paid.destination;
            let allowed = match owner {
                Some(owner) => format!("{} for {owner}", paid.destination),
                None => format!("the associated token account for {}", self.given.destinations.listed()),
            };
            checks.push(Check::new(CREATE, holds, allowed, format!("{} for {}", new.account, new.owner)));
        }
        if !self.given.close_accounts
            && let Some(closing) = paid.closes.first()
        {
            let allowed = "token accounts that stay: close_accounts is not set";
            checks.push(Check::new(CLOSE, false, allowed, format!("the end of {}", closing.account)));
        }
        self.pinned(CLOSE, paid.closes.iter().map(|closing| closing.destination), checks);
    }

    fn fee_payer(&self, sweep: &Sweep) -> Check {
        let found = sweep.fee_payer;
        let gives = sweep
            .fee_payer_key()
            .is_some_and(|key| sweep.is_void() || sweep.paid().iter().any(|paid| paid.key == key));
        let holds = self.given.fee_payers.iter().any(|allowed| match allowed {
            FeePayer::Swept => gives,
            FeePayer::Pinned(address) => *address == found,
        });
        Check::new(FEE_PAYER, holds, self.given.fee_payers.listed(), found.to_string())
    }

    /// A listed token, and the accounts that may be paid in it, in the order of the destinations.
    fn token(&self, mint: &SolanaAddress) -> Option<(&SplToken, &[SolanaAddress])> {
        let mut listed = self.given.tokens.iter().zip(&self.token_accounts);
        listed.find(|(token, _)| token.mint == *mint).map(|(token, accounts)| (token, accounts.as_slice()))
    }
}
