//! What a policy says of Bitcoin sweeps, and the checks of a sweep by it.

use serde::{Deserialize, Serialize};

use super::{BitcoinNetwork, Sweep, destination::Destination, sweep::Payment};
use crate::{
    Amount, Check, Confirmations, Count, Distinct, FeeCap, Meter, Permille, Velocity,
    limits::{at_least, at_most},
    sweep::void,
};

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
/// addresses in their one spelling: at most 256, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitcoinRules {
    destinations: Distinct<Destination>,
    velocity: Velocity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_amount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_fee_permille: Option<Permille>,
    fee: FeeCap,
    fee_rate: Amount,
    confirmations: Confirmations,
}

impl BitcoinRules {
    /// After how many confirmations a deposit is credited.
    pub const fn confirmations(&self) -> u32 {
        self.confirmations.get()
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
        let share = self.max_fee_permille.unwrap_or_default();
        [
            share.check("policy.bitcoin.max_fee_permille", sweep.paid(), fee, "satoshis"),
            at_most("policy.bitcoin.fee", self.fee.per_transaction, fee, "satoshis"),
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
        let fee = Count { key, amount: sweep.fee().into(), anchors: sweep.anchors() };
        vec![
            Meter::of_asset("bitcoin/native".into(), "policy.bitcoin.velocity", counts, self.velocity),
            Meter::of_fee("bitcoin/fee".into(), "policy.bitcoin.fee", vec![fee], self.fee),
        ]
    }

    fn check_destination(&self, payment: &Payment, network: BitcoinNetwork) -> Check {
        let holds = self.destinations.iter().any(|address| address.names(payment.script, network));
        let allowed = self.destinations.listed();
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
