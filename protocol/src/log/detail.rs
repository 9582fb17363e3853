//! What an entry says beyond its fixed fields: a small JSON object in one spelling, such as what
//! was found against what is allowed. Never a secret.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ContentHash, MAX_DETAIL_DEPTH, OperationName, write};

const MAX_KEY: usize = 64;

/// Why JSON cannot be an entry's detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetailError {
    /// Something else than an object.
    #[error("detail: a JSON object was expected")]
    NotAnObject,
    /// A key with other characters.
    #[error("detail: keys of 1 to {MAX_KEY} characters of a-z, A-Z, 0-9 and . _ - were expected")]
    Key,
    /// A fraction, a negative number, or one beyond 2⁶⁴ − 1: those have more than one spelling.
    #[error("detail: whole numbers from 0 to 18446744073709551615 were expected, others as text")]
    Number,
    /// Nested too deep.
    #[error("detail: at most {MAX_DETAIL_DEPTH} levels were expected")]
    Depth,
    /// Too long.
    #[error("detail: at most {0} bytes of JSON were expected")]
    Length(usize),
}

/// A JSON object of at most [`MAX_DETAIL_DEPTH`] levels and [`OperationName::most_detail`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(BTreeMap<String, Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Item>),
    Fields(BTreeMap<String, Item>),
}

impl Detail {
    /// From JSON that fits so many bytes.
    ///
    /// # Errors
    /// [`DetailError`]
    pub fn from_json(value: &Value, most: usize) -> Result<Self, DetailError> {
        match Item::read(value, 1)? {
            Item::Fields(fields) => {
                let detail = Self(fields);
                if detail.to_json().len() <= most { Ok(detail) } else { Err(DetailError::Length(most)) }
            }
            _ => Err(DetailError::NotAnObject),
        }
    }

    /// From any JSON, without a failure, so that what happened is always logged: what does not fit
    /// becomes `{"omitted": why, "sha256": the hash of the JSON}`.
    pub fn new(operation: &OperationName, value: &Value) -> Self {
        Self::from_json(value, operation.most_detail()).unwrap_or_else(|error| {
            let hash = ContentHash::of(value.to_string().as_bytes());
            let fields = [("omitted", error.to_string()), ("sha256", hash.to_string())];
            Self(fields.map(|(key, text)| (key.to_owned(), Item::Text(text))).into())
        })
    }

    /// The JSON: keys sorted by their bytes, no white space.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// As a value, for reading.
    pub fn to_value(&self) -> Value {
        fields_value(&self.0)
    }

    pub(super) fn write(&self, out: &mut String) {
        write_fields(out, &self.0);
    }
}

impl Item {
    /// Recursion ends at [`MAX_DETAIL_DEPTH`], whatever the input.
    fn read(value: &Value, depth: usize) -> Result<Self, DetailError> {
        if depth > MAX_DETAIL_DEPTH && (value.is_object() || value.is_array()) {
            return Err(DetailError::Depth);
        }
        let below = depth.saturating_add(1);
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::Number(number.as_u64().ok_or(DetailError::Number)?),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => {
                Self::List(items.iter().map(|item| Self::read(item, below)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let field = |(key, value): (&String, &Value)| {
                    if is_key(key) {
                        Ok((key.clone(), Self::read(value, below)?))
                    } else {
                        Err(DetailError::Key)
                    }
                };
                Self::Fields(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
        })
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Flag(flag) => write::plain(out, flag),
            Self::Number(number) => write::plain(out, number),
            Self::Text(text) => write::text(out, text),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    separate(out, at);
                    item.write(out);
                }
                out.push(']');
            }
            Self::Fields(fields) => write_fields(out, fields),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => Value::from(*flag),
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Fields(fields) => fields_value(fields),
        }
    }
}

fn is_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(allowed)
}

fn write_fields(out: &mut String, fields: &BTreeMap<String, Item>) {
    out.push('{');
    for (at, (key, item)) in fields.iter().enumerate() {
        separate(out, at);
        write::text(out, key);
        out.push(':');
        item.write(out);
    }
    out.push('}');
}

fn fields_value(fields: &BTreeMap<String, Item>) -> Value {
    Value::Object(fields.iter().map(|(key, item)| (key.clone(), item.to_value())).collect())
}

fn separate(out: &mut String, at: usize) {
    if at > 0 {
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{MAX_DETAIL, MAX_SIGN_DETAIL};
    use serde_json::json;

    #[test]
    fn an_object_has_one_spelling_whatever_the_order_of_its_keys() {
        let value: Value =
            serde_json::from_str(r#"{ "b":[1,true,null,"x\n"], "a":{"Z":0,"A":"é"} }"#).unwrap();
        let detail = Detail::from_json(&value, MAX_DETAIL).unwrap();
        assert_eq!(detail.to_json(), r#"{"a":{"A":"é","Z":0},"b":[1,true,null,"x\n"]}"#);
        assert_eq!(detail.to_value(), value);
    }

    #[test]
    fn what_has_several_spellings_or_is_too_large_is_refused_but_still_logged() {
        for (value, error) in [
            (json!([]), DetailError::NotAnObject),
            (json!({"a": 1.5}), DetailError::Number),
            (json!({"a": -1}), DetailError::Number),
            (json!({"a": 1e30}), DetailError::Number),
            (json!({"": 1}), DetailError::Key),
            (json!({"a b": 1}), DetailError::Key),
            (json!({"a": {"b": {"c": {"d": {}}}}}), DetailError::Depth),
            (json!({"a": [[[[]]]]}), DetailError::Depth),
            (json!({"a": "x".repeat(MAX_DETAIL)}), DetailError::Length(MAX_DETAIL)),
            (json!({"a": "\u{1}".repeat(MAX_DETAIL / 6)}), DetailError::Length(MAX_DETAIL)),
        ] {
            assert_eq!(Detail::from_json(&value, MAX_DETAIL), Err(error.clone()), "{value}");
            let told = Detail::new(&OperationName::KEY_CHECK, &value).to_value();
            assert_eq!(told["omitted"], error.to_string());
            assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
        }
        assert!(Detail::from_json(&json!({"a": {"b": {"c": {"d": u64::MAX}}}}), MAX_DETAIL).is_ok());
        // What was signed has more room than anything else.
        let long = json!({"a": "x".repeat(MAX_DETAIL)});
        assert_eq!(Detail::new(&OperationName::TRANSACTION_SIGN, &long).to_value(), long);
        let longer = json!({"a": "x".repeat(MAX_SIGN_DETAIL)});
        assert!(Detail::new(&OperationName::TRANSACTION_SIGN, &longer).to_value()["omitted"].is_string());
    }
}
