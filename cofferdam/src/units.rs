//! Amounts as people read them: the smallest unit, which decides, and the coin beside it.

use chains::{Amount, Chain, FeeCap, Velocity};

/// The asset of the network itself, as summaries name it.
pub(crate) const NATIVE: &str = "native";

/// An asset's smallest unit, and the whole that people think in where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    name: String,
    whole: Option<(u8, String)>,
}

impl Unit {
    /// A network's own coin.
    pub(crate) fn native(chain: Chain) -> Self {
        let (name, decimals, coin) = match chain {
            // Not every EVM network's coin is ether.
            Chain::Evm => ("wei", 18, "coins"),
            Chain::Bitcoin => ("satoshis", 8, "BTC"),
            Chain::Solana => ("lamports", 9, "SOL"),
            Chain::Tron => ("sun", 6, "TRX"),
        };
        Self { name: name.to_owned(), whole: Some((decimals, coin.to_owned())) }
    }

    /// A token. Only on Solana the policy knows its decimals.
    pub(crate) fn token(symbol: &str, decimals: Option<u8>) -> Self {
        Self { name: "base units".to_owned(), whole: decimals.map(|decimals| (decimals, symbol.to_owned())) }
    }

    /// An asset as a transaction's summary names it. Of a token no transaction proves the decimals.
    pub(crate) fn named(chain: Chain, asset: &str) -> Self {
        if asset == NATIVE {
            Self::native(chain)
        } else {
            Self { name: format!("base units of {asset}"), whole: None }
        }
    }

    /// `1.5 TRX (1500000 sun)`
    pub(crate) fn of(&self, amount: Amount) -> String {
        match &self.whole {
            Some((decimals, name)) if amount != Amount::ZERO => {
                format!("{} {name} ({amount} {})", whole(amount, *decimals), self.name)
            }
            _ => format!("{amount} {}", self.name),
        }
    }

    /// Both bounds of a velocity.
    pub(crate) fn velocity(&self, velocity: &Velocity) -> String {
        format!("of one key {}, of all {}", self.of(velocity.per_key_per_day), self.of(velocity.per_day))
    }

    /// Both bounds of a fee.
    pub(crate) fn fee(&self, fee: &FeeCap) -> String {
        format!(
            "of one transaction {}, of all in 24 h {}",
            self.of(fee.per_transaction),
            self.of(fee.per_day)
        )
    }
}

/// The amount with its decimal point.
fn whole(amount: Amount, decimals: u8) -> String {
    let digits = amount.to_string();
    let decimals = usize::from(decimals);
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (before, after) = padded.split_at_checked(padded.len() - decimals).unwrap_or((&padded, ""));
    match after.trim_end_matches('0') {
        "" => before.to_owned(),
        after => format!("{before}.{after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_in_its_unit_and_in_the_coin() {
        let tron = Unit::native(Chain::Tron);
        assert_eq!(tron.of(Amount::new(1_500_000)), "1.5 TRX (1500000 sun)");
        assert_eq!(tron.of(Amount::new(1)), "0.000001 TRX (1 sun)");
        assert_eq!(tron.of(Amount::ZERO), "0 sun");
        assert_eq!(Unit::token("X", None).of(Amount::new(7)), "7 base units");
        assert_eq!(Unit::token("X", Some(0)).of(Amount::new(70)), "70 X (70 base units)");
        assert_eq!(Unit::named(Chain::Tron, "TR7").of(Amount::new(5)), "5 base units of TR7");
        let all = "340282366920938463463374607431768211455";
        assert_eq!(whole(Amount::new(u128::MAX), 255).len(), 257);
        assert_eq!(whole(Amount::new(u128::MAX), 0), all);
    }
}
