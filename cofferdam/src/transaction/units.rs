//! Amounts as people read them. The smallest unit always stands beside: it is what is signed.

use chains::{Amount, Chain};

/// The asset of the network itself, as summaries name it.
const NATIVE: &str = "native";

/// An amount of an asset: in the network's coin and in its smallest unit, or in a token's base unit,
/// whose decimals no transaction can prove.
pub(super) fn amount(chain: Chain, asset: &str, amount: Amount) -> String {
    if asset != NATIVE {
        return format!("{amount} base units of {asset}");
    }
    let (decimals, coin, unit) = match chain {
        // Whose coin is the network's matter.
        Chain::Evm => (18, "of the network's coin", "wei"),
        Chain::Bitcoin => (8, "BTC", "satoshis"),
        Chain::Solana => (9, "SOL", "lamports"),
        Chain::Tron => (6, "TRX", "sun"),
    };
    format!("{} {coin} ({amount} {unit})", shifted(amount, decimals))
}

/// The number with its point moved to the left, without zeroes at the end.
fn shifted(amount: Amount, decimals: u32) -> String {
    let one = 10u128.pow(decimals);
    let (whole, rest) = (amount.get() / one, amount.get() % one);
    let width = usize::try_from(decimals).unwrap_or_default();
    let text = format!("{whole}.{rest:0width$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_stands_where_it_belongs() {
        for (units, text) in [
            (0, "0"),
            (1, "0.00000001"),
            (100_000_000, "1"),
            (1_000_000_000, "10"),
            (123_456_789, "1.23456789"),
            (u128::MAX, "3402823669209384634633746074317.68211455"),
        ] {
            assert_eq!(shifted(Amount::new(units), 8), text);
        }
        let text = amount(Chain::Tron, "TR7", Amount::new(5));
        assert_eq!(text, "5 base units of TR7");
    }
}
