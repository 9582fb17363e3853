//! What a policy says of Bitcoin sweeps, and the checks of a sweep by it.

use serde::{Deserialize, Serialize};

use super::{BitcoinNetwork, Sweep, destination::Address, sweep::Payment};
use crate::{Amount, Check, Count, FeeCap, Meter, Permille, Velocity, limits::at_least, sweep::void};

/// At most so many destinations.
const MOST_DESTINATIONS: usize = 100;

/// The rules of one policy for Bitcoin. In JSON:
///
/// ```json
/// {
///   "destinations": ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"],
///   "velocity": { "per_key_per_day": "100000000", "per_day": "10000000000" },
///   "min_amount": "10000",
///   "max_fee_permille": 50,
///   "fee": { "per_transaction": "50000", "per_day": "1000000" },
///   "fee_rate": "200",
///   "confirmations": 3
/// }
/// ```
///
/// Amounts are satoshis, `min_amount` and `max_fee_permille`, which may be absent, are of what the outputs pay together,
/// `fee_rate` is whole satoshis for a virtual byte. Destinations are
/// addresses in their one spelling: 1 to 100, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Rules {
    destinations: Vec<Address>,
    velocity: Velocity,
    min_amount: Option<Amount>,
    max_fee_permille: Option<Permille>,
    fee: FeeCap,
    fee_rate: Amount,
    confirmations: u32,
}

/// The rules as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    destinations: Vec<String>,
    velocity: Velocity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_amount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_fee_permille: Option<Permille>,
    fee: FeeCap,
    fee_rate: Amount,
    confirmations: u32,
}

/// Why rules are none.
#[derive(Debug, thiserror::Error)]
enum NotRules {
    #[error("destination {0}: {1}")]
    Address(usize, super::NotAnAddress),
    #[error("1 to {MOST_DESTINATIONS} destinations were expected, each once")]
    Destinations,
    #[error("at least one confirmation was expected")]
    Confirmations,
}

impl TryFrom<Form> for Rules {
    type Error = NotRules;

    fn try_from(form: Form) -> Result<Self, NotRules> {
        if !(1..=MOST_DESTINATIONS).contains(&form.destinations.len()) {
            return Err(NotRules::Destinations);
        }
        let mut destinations = Vec::new();
        for (index, text) in form.destinations.iter().enumerate() {
            let address = Address::parse(text).map_err(|error| NotRules::Address(index, error))?;
            if destinations.contains(&address) {
                return Err(NotRules::Destinations);
            }
            destinations.push(address);
        }
        if form.confirmations == 0 {
            return Err(NotRules::Confirmations);
        }
        let Form { velocity, min_amount, max_fee_permille, fee, fee_rate, confirmations, .. } = form;
        Ok(Self { destinations, velocity, min_amount, max_fee_permille, fee, fee_rate, confirmations })
    }
}

impl From<Rules> for Form {
    fn from(rules: Rules) -> Self {
        let destinations = rules.destinations.iter().map(Address::to_string).collect();
        let Rules { velocity, min_amount, max_fee_permille, fee, fee_rate, confirmations, .. } = rules;
        Self { destinations, velocity, min_amount, max_fee_permille, fee, fee_rate, confirmations }
    }
}

impl Rules {
    /// After how many confirmations a deposit is credited. No PSBT can prove any, so that no check
    /// here reads it.
    pub const fn confirmations(&self) -> u32 {
        self.confirmations
    }

    /// Whether all destinations are addresses of `network`. One that is not can never be paid.
    pub fn are_for(&self, network: BitcoinNetwork) -> bool {
        self.destinations.iter().all(|address| address.is_of(network))
    }

    /// Applies the rules: `policy.bitcoin.destination` for each output, then `.min_amount`,
    /// `.max_fee_permille`, `.fee` and `.fee_rate`. A transaction that pays its own key alone is denied
    /// (`policy.void`). Bitcoin's time plays no part; `_now` (milliseconds since 1970) is there as on
    /// every chain.
    pub fn check(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        if sweep.is_void() {
            return vec![void("a payment to its own key")];
        }
        let mut checks: Vec<Check> =
            sweep.payments().iter().map(|payment| self.check_destination(payment, sweep.network())).collect();
        checks.push(at_least("policy.bitcoin.min_amount", self.min_amount, sweep.paid(), "satoshis"));
        checks.extend(self.check_fee(sweep));
        checks
    }

    /// The rules for a transaction that only uses up its inputs, which an order allows: what bounds
    /// its fee.
    pub fn check_void(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        self.check_fee(sweep).into()
    }

    fn check_fee(&self, sweep: &Sweep) -> [Check; 3] {
        let fee = Amount::from(sweep.fee());
        let allowed = format!("a fee of at most {} satoshis", self.fee.per_transaction);
        let share = self.max_fee_permille.unwrap_or_default();
        [
            share.check("policy.bitcoin.max_fee_permille", sweep.paid(), fee, "satoshis"),
            Check::new("policy.bitcoin.fee", fee <= self.fee.per_transaction, allowed, fee.to_string()),
            self.check_fee_rate(sweep),
        ]
    }

    /// What the sweep adds to the running counts. What leaves counts under each output that is
    /// spent, with its share of the fee; the fee under one of them. The fee has no bound for each key:
    /// all of it stands under the first input's.
    pub fn meters(&self, sweep: &Sweep) -> Vec<Meter> {
        if sweep.is_void() {
            return Vec::new();
        }
        let counts = sweep.moved();
        let key = counts.first().map_or(0, |count| count.key);
        vec![
            Meter {
                name: "bitcoin/native".into(),
                tag: "policy.bitcoin.velocity",
                counts,
                per_key_per_day: Some(self.velocity.per_key_per_day),
                per_day: self.velocity.per_day,
            },
            Meter {
                name: "bitcoin/fee".into(),
                tag: "policy.bitcoin.fee",
                counts: vec![Count { key, amount: sweep.fee().into(), anchors: sweep.anchors() }],
                per_key_per_day: None,
                per_day: self.fee.per_day,
            },
        ]
    }

    fn check_destination(&self, payment: &Payment, network: BitcoinNetwork) -> Check {
        let holds = self.destinations.iter().any(|address| address.names(payment.script, network));
        let allowed = match self.destinations.as_slice() {
            [one] => one.to_string(),
            [first, rest @ ..] => format!("{first} or one of {} other destinations", rest.len()),
            [] => "nothing".into(),
        };
        Check::new("policy.bitcoin.destination", holds, allowed, payment.script.address(network))
    }

    fn check_fee_rate(&self, sweep: &Sweep) -> Check {
        let (fee, vsize) = (u128::from(sweep.fee()), u128::from(sweep.vsize()));
        let most = self.fee_rate.get().saturating_mul(vsize);
        Check::new(
            "policy.bitcoin.fee_rate",
            fee <= most,
            format!("at most {} satoshis for a virtual byte, {most} for {vsize}", self.fee_rate),
            format!("{fee} for {vsize}"),
        )
    }
}
