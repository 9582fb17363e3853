//! What the adversary asks for, and what it tries afterwards.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::plan::{OURS, Paid, Payment, Plan, Who};

fn who() -> impl Strategy<Value = Who> {
    // Mostly keys under one rule set, so that something is signed at all.
    prop_oneof![30 => (0..2_usize).prop_map(Who::Ours), 4 => (2..OURS).prop_map(Who::Ours), 1 => Just(Who::Mallory)]
}

fn paid() -> impl Strategy<Value = Paid> {
    prop_oneof![14 => Just(Paid::Both), 5 => Just(Paid::First), 1 => Just(Paid::Second), 1 => Just(Paid::Mallory)]
}

fn sol() -> impl Strategy<Value = Payment> {
    vec((who(), paid(), 1_000_001_u64..1_000_004), 1..4).prop_map(Payment::Sol)
}

/// A token's, with a new account that the fee payer pays for, or somebody who gives, or nobody; and with
/// the end of the accounts of those who give, or of anyone.
fn token(fee_payer: Who) -> impl Strategy<Value = Payment> {
    let parts = (0_u8..3, paid(), vec((who(), 1_u64..4), 1..3), vec((option::of(who()), paid()), 0..2));
    (parts, 0_u8..5).prop_map(move |((mint, to, paid, closed), creates)| {
        let (last, _) = paid[paid.len() - 1];
        let created = match creates {
            0 => Some(fee_payer),
            1 => Some(last),
            _ => None,
        };
        let closed = closed.into_iter().map(|(owner, to)| (owner.unwrap_or(last), to)).collect();
        Payment::Token { mint, to, created, paid, closed }
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let payer = prop_oneof![4 => Just(Who::Payer), 6 => who()];
    let nonce = option::weighted(0.3, prop_oneof![2 => Just(Who::Payer), 2 => who()]);
    let version = select(vec![0_u8, 2, 2, 0, 1]);
    let parts = (version, payer, 1_u8..3, nonce, option::of(1_u64..9));
    let with_payment =
        |(version, payer, blockhash, nonce, price): (u8, Who, u8, Option<Who>, Option<u64>)| {
            prop_oneof![sol(), token(payer)].prop_map(move |payment| Plan {
                version,
                payer,
                blockhash,
                nonce,
                price,
                payment,
            })
        };
    parts.prop_flat_map(with_payment)
}

/// What the adversary makes of a plan: another version, blockhash, fee payer, price; an amount more, a
/// payment less, another destination; with a nonce or without.
pub(crate) fn related(plan: &Plan, other: &Plan) -> Vec<Plan> {
    let mut all = vec![plan.clone()];
    all.extend([0, 1, 2].map(|version| Plan { version, ..plan.clone() }));
    all.push(Plan { blockhash: 3 - plan.blockhash, ..plan.clone() });
    all.push(Plan { payer: other.payer, ..plan.clone() });
    all.push(Plan { nonce: other.nonce, ..plan.clone() });
    all.push(Plan { price: other.price, ..plan.clone() });
    let mut payment = plan.payment.clone();
    match &mut payment {
        Payment::Sol(paid) => {
            paid[0].2 += 1;
            all.push(Plan { payment: Payment::Sol(paid.clone()), ..plan.clone() });
            paid[0].1 = Paid::Mallory;
            all.push(Plan { payment: Payment::Sol(paid.clone()), ..plan.clone() });
            if let [_, rest @ ..] = plan.moves().as_slice()
                && !rest.is_empty()
            {
                all.push(Plan { payment: Payment::Sol(rest.to_vec()), ..plan.clone() });
            }
        }
        Payment::Token { paid, closed, .. } => {
            paid[0].1 += 1;
            closed.push((paid[0].0, Paid::Mallory));
            all.push(Plan { payment, ..plan.clone() });
        }
    }
    let mut once: Vec<Plan> = Vec::new();
    for plan in all {
        if !once.contains(&plan) {
            once.push(plan);
        }
    }
    once
}

/// Two plans: of their own, or the second one is related to the first.
pub(crate) fn two() -> impl Strategy<Value = [Plan; 2]> {
    (plan(), plan(), any::<(bool, prop::sample::Index)>()).prop_map(|(first, other, (is_related, pick))| {
        let related = related(&first, &other);
        let second = if is_related { pick.get(&related).clone() } else { other };
        [first, second]
    })
}

/// Which keys a request names: those that sign, or any.
pub(crate) type Request = (usize, Vec<usize>, bool, bool);

pub(crate) fn requests() -> impl Strategy<Value = Vec<Request>> {
    let keys =
        select(vec![vec![0], vec![1], vec![0, 1], vec![1, 0], vec![2], vec![3], vec![2, 3], vec![0, 2]]);
    vec((0..2_usize, keys, any::<bool>(), proptest::bool::weighted(0.7)), 2..7)
}
