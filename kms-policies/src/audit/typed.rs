//! What conditions compare as something else than a text: the values at the borders, and between them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use data_encoding::BASE64;

use crate::condition::Value;

#[derive(Default)]
pub(super) struct Typed {
    booleans: bool,
    numbers: Vec<f64>,
    dates: BTreeSet<i64>,
    addresses: BTreeSet<IpAddr>,
    binaries: BTreeSet<Vec<u8>>,
}

impl Typed {
    pub(super) fn add(&mut self, value: &Value) {
        match value {
            Value::Text(..) | Value::Arn(_) => {}
            Value::Bool(_) => self.booleans = true,
            Value::Number(_, number) => self.numbers.push(*number),
            Value::Date(_, date) => {
                let at = date.unix_timestamp();
                self.dates.extend([at.saturating_sub(1), at, at.saturating_add(1)]);
            }
            Value::Ip(network) => {
                let (first, last) = (network.first, network.last);
                self.addresses.extend([first, last]);
                self.addresses.extend(before(first).into_iter().chain(after(last)));
            }
            Value::Binary(bytes) => {
                let mut longer = bytes.clone();
                longer.push(0);
                self.binaries.extend([bytes.clone(), longer]);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.booleans
            && self.numbers.is_empty()
            && self.dates.is_empty()
            && self.addresses.is_empty()
            && self.binaries.is_empty()
    }

    /// As texts of a request.
    pub(super) fn values(mut self) -> Vec<String> {
        let mut values = Vec::new();
        if self.booleans {
            values.extend(["true", "false"].map(str::to_owned));
        }
        self.numbers.sort_by(f64::total_cmp);
        if let (Some(first), Some(last)) = (self.numbers.first(), self.numbers.last()) {
            values.extend([number(first - 1.0), number(last + 1.0), number(0.0)]);
            values.extend([number(first.next_down()), number(last.next_up())]);
        }
        values.extend(self.numbers.iter().map(|one| number(*one)));
        let next = self.numbers.iter().skip(1);
        values.extend(self.numbers.iter().zip(next).map(|(one, two)| number(f64::midpoint(*one, *two))));
        values.extend(self.dates.iter().map(ToString::to_string));
        if !self.addresses.is_empty() {
            values.extend(["192.0.2.1", "2001:db8::1"].map(str::to_owned));
        }
        values.extend(self.addresses.iter().map(ToString::to_string));
        values.extend(self.binaries.iter().map(|bytes| BASE64.encode(bytes)));
        values
    }
}

fn number(number: f64) -> String {
    number.to_string()
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}
