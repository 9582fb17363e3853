//! What a transaction says beside its payments, chain by chain.

use chains::{Sweep, Transaction};

use crate::clock;

/// Names and values, in the order in which they are shown.
pub(super) type Details = Vec<(&'static str, String)>;

/// What there is to know of a match.
pub(super) fn of(transaction: &Transaction, sweep: &Sweep) -> Details {
    let mut details = Details::new();
    let mut put = |name, value: String| details.push((name, value));
    match sweep {
        Sweep::Evm(sweep) => {
            let transaction = sweep.transaction();
            put("nonce", transaction.nonce().to_string());
            put("gas_limit", transaction.gas_limit().to_string());
            put("max_fee_per_gas", format!("{} wei", transaction.max_fee_per_gas()));
        }
        Sweep::Bitcoin(sweep) => {
            put("txid", sweep.txid());
            put("virtual_size", format!("at most {} vB", sweep.vsize()));
            let rate = sweep.fee().checked_div(sweep.vsize()).unwrap_or_default();
            put("fee_rate", format!("at least {rate} satoshis/vB"));
            if let Transaction::Bitcoin(psbt) = transaction
                && psbt.lock_time() != 0
            {
                put("locktime", format!("block {}", psbt.lock_time()));
            }
        }
        Sweep::Solana(sweep) => {
            let payer = match sweep.fee_payer_key() {
                Some(key) => format!("{} (key {key})", sweep.fee_payer()),
                None => format!("{} (no key of the request)", sweep.fee_payer()),
            };
            put("fee_payer", payer);
            put("unit_limit", sweep.unit_limit().to_string());
            put("unit_price", format!("{} micro-lamports", sweep.unit_price()));
            if let Some(nonce) = sweep.nonce() {
                put("nonce_account", nonce.account.to_string());
                put("nonce_authority", nonce.authority.to_string());
            }
            if let Some(new) = sweep.creates() {
                put("creates", format!("{} of {}", new.account, new.owner));
            }
            for closing in sweep.closings() {
                put("closes", format!("{}, its lamports to {}", closing.account, closing.destination));
            }
        }
        Sweep::Tron(sweep) => {
            put("expiration", clock::format(sweep.expiration()));
            if let Some(timestamp) = sweep.timestamp() {
                put("timestamp", clock::format(timestamp));
            }
        }
    }
    details
}
