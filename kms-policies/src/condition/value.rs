//! What a condition compares with: the operators' types. Source: IAM User Guide, "IAM JSON policy
//! elements: Condition operators".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;
use time::{Date, OffsetDateTime, format_description::well_known::Iso8601};

use crate::{
    error::Problem,
    pattern::{ArnPattern, Case, Pattern, Syntax},
    truth::{Context, Truth},
};

/// How the values of a policy are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Text,
    TextWithoutCase,
    Like,
    Arn,
    Bool,
    Number(Order),
    Date(Order),
    Ip,
    Binary,
    /// Whether the key is missing.
    Null,
}

/// How what is found stands to what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, found: &T, written: &T) -> bool {
        match self {
            Self::Equal => found == written,
            Self::Less => found < written,
            Self::LessOrEqual => found <= written,
            Self::Greater => found > written,
            Self::GreaterOrEqual => found >= written,
        }
    }

    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equal, false),
            "NotEquals" => (Self::Equal, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }
}

impl Comparison {
    /// That of an operator's name without prefix and suffix, and whether it is negated.
    pub(super) fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "StringEquals" => (Self::Text, false),
            "StringNotEquals" => (Self::Text, true),
            "StringEqualsIgnoreCase" => (Self::TextWithoutCase, false),
            "StringNotEqualsIgnoreCase" => (Self::TextWithoutCase, true),
            "StringLike" => (Self::Like, false),
            "StringNotLike" => (Self::Like, true),
            // IAM: ArnEquals and ArnLike behave identically.
            "ArnEquals" | "ArnLike" => (Self::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Self::Arn, true),
            "Bool" => (Self::Bool, false),
            "IpAddress" => (Self::Ip, false),
            "NotIpAddress" => (Self::Ip, true),
            "BinaryEquals" => (Self::Binary, false),
            "Null" => (Self::Null, false),
            _ => {
                let typed = |kind: fn(Order) -> Self, rest| {
                    Order::named(rest).map(|(order, negated)| (kind(order), negated))
                };
                return match (name.strip_prefix("Numeric"), name.strip_prefix("Date")) {
                    (Some(rest), _) => typed(Self::Number, rest),
                    (_, Some(rest)) => typed(Self::Date, rest),
                    _ => None,
                };
            }
        })
    }
}

/// A value of a policy, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(Pattern, Case),
    Arn(ArnPattern),
    Bool(bool),
    Number(Order, f64),
    Date(Order, OffsetDateTime),
    Ip(Network),
    Binary(Vec<u8>),
}

impl Eq for Value {}

impl Value {
    pub(super) fn parse(comparison: Comparison, text: &str, variables: bool) -> Result<Self, Problem> {
        let pattern = |wildcards| Pattern::parse(text, Syntax { wildcards, variables });
        match comparison {
            Comparison::Text => Ok(Self::Text(pattern(false)?, Case::Matters)),
            Comparison::TextWithoutCase => Ok(Self::Text(pattern(false)?, Case::Ignored)),
            Comparison::Like => Ok(Self::Text(pattern(true)?, Case::Matters)),
            Comparison::Arn => ArnPattern::parse(text, variables).map(Self::Arn),
            Comparison::Bool | Comparison::Null => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Self::Bool(true)),
                "false" => Ok(Self::Bool(false)),
                _ => Err(Problem::Expected("true or false")),
            },
            Comparison::Number(order) => {
                number(text).map(|value| Self::Number(order, value)).ok_or(Problem::Expected("a number"))
            }
            Comparison::Date(order) => date(text)
                .map(|value| Self::Date(order, value))
                .ok_or(Problem::Expected("a date of ISO 8601, or seconds since 1970,")),
            Comparison::Ip => Network::parse(text)
                .map(Self::Ip)
                .ok_or(Problem::Expected("an IP address or a network in CIDR form")),
            Comparison::Binary => {
                BASE64.decode(text.as_bytes()).map(Self::Binary).map_err(|_| Problem::Expected("base64"))
            }
        }
    }

    /// Whether it matches what a request has. What cannot be read as the type matches nothing.
    pub(super) fn matches(&self, found: &str, context: &dyn Context) -> Truth {
        match self {
            Self::Text(pattern, case) => pattern.matches_in(found, *case, context),
            Self::Arn(pattern) => pattern.matches_in(found, context),
            Self::Bool(expected) => {
                found.eq_ignore_ascii_case(if *expected { "true" } else { "false" }).into()
            }
            Self::Number(order, written) => {
                number(found).is_some_and(|found| order.holds(&found, written)).into()
            }
            Self::Date(order, written) => {
                date(found).is_some_and(|found| order.holds(&found, written)).into()
            }
            Self::Ip(network) => found.parse().is_ok_and(|address| network.contains(address)).into(),
            Self::Binary(bytes) => BASE64.decode(found.as_bytes()).is_ok_and(|found| found == *bytes).into(),
        }
    }

    /// The keys that its variables name, in lower case.
    pub(crate) fn variables(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Text(pattern, _) => Box::new(pattern.variables()),
            Self::Arn(pattern) => Box::new(pattern.variables()),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// An integer or a decimal number.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

/// A date, or a date and time with an offset; or seconds since 1970.
pub(crate) fn date(text: &str) -> Option<OffsetDateTime> {
    // A year, or the first hours of 1970: nobody means the latter, and AWS does not say.
    if text.len() == 4 {
        return None;
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    OffsetDateTime::parse(text, &Iso8601::DEFAULT)
        .ok()
        .or_else(|| Some(Date::parse(text, &Iso8601::DEFAULT).ok()?.midnight().assume_utc()))
}

/// A network of IPv4 or IPv6: all addresses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) first: IpAddr,
    pub(crate) last: IpAddr,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits beyond the prefix do not count.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let free = 32u32.checked_sub(prefix.unwrap_or(32))?;
                let mask = u32::MAX.checked_shl(free).unwrap_or(0);
                let first = address.to_bits() & mask;
                let [first, last] = [first, first | !mask].map(|bits| Ipv4Addr::from_bits(bits).into());
                Some(Self { first, last })
            }
            IpAddr::V6(address) => {
                let free = 128u32.checked_sub(prefix.unwrap_or(128))?;
                let mask = u128::MAX.checked_shl(free).unwrap_or(0);
                let first = address.to_bits() & mask;
                let [first, last] = [first, first | !mask].map(|bits| Ipv6Addr::from_bits(bits).into());
                Some(Self { first, last })
            }
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }
}
