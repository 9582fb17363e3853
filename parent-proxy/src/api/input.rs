//! JSON bodies, as they come: read whole within their bounds, and parsed so that a name which is repeated
//! is still seen. What their fields must be is for `fields.rs`.

use std::fmt;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{Problem, budget::Share};

/// How much of a body over its limit is read and thrown away.
const DISCARDED: usize = 4 << 20;

/// A JSON value that keeps repeated names, so that they can be refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Number(u64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    Null,
    /// Nothing here has such a value.
    Truth,
    /// A number that is negative, fractional or too large: nothing here has such a value, either.
    OtherNumber,
}

impl Json {
    /// What it is, without its content.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Number(_) => "a whole number".into(),
            Self::Text(text) => format!("a string of {} bytes", text.len()),
            Self::Array(items) => format!("an array of {} items", items.len()),
            Self::Object(_) => "an object".into(),
            Self::Null => "null".into(),
            Self::Truth => "true or false".into(),
            Self::OtherNumber => "a number of another kind".into(),
        }
    }
}

/// Whether the body says that it is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(Problem::media_type())
    }
}

/// A body as JSON.
pub(super) fn json(bytes: &[u8]) -> Result<Json, Problem> {
    // Syntax errors carry a position, and nothing of the content.
    serde_json::from_slice(bytes).map_err(|error| Problem::malformed(format!("JSON: {error}")))
}

/// The body of a request, as it comes. One over the limit is refused. What a client writes beyond it is
/// read and thrown away, up to [`DISCARDED`]: a connection that ends while the client still writes takes
/// the answer with it. A client that waits for leave to write, or announces more than that, is answered
/// at once, and so is one whose share of the memory for bodies is lost.
pub(super) async fn body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, Problem> {
    let most = limit.saturating_add(DISCARDED);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let allowed = if headers.contains_key(header::EXPECT) { limit } else { most };
    if announced.is_some_and(|announced: u64| announced > allowed as u64) {
        return Err(Problem::too_large(limit));
    }
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut read) = (BytesMut::new(), 0usize);
    while read <= most {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk,
            () = share.lost() => return Err(Problem::overloaded()),
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|_| Problem::malformed("the body ended before it was whole"))?;
        read = read.saturating_add(chunk.len());
        if read <= limit {
            share.grow(chunk.len()).map_err(|_| Problem::overloaded())?;
            bytes.extend_from_slice(&chunk);
        }
    }
    if read <= limit { Ok(bytes.freeze()) } else { Err(Problem::too_large(limit)) }
}

/// The body of a request behind the gate, where it was read.
pub(super) async fn whole(body: Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Truth)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
                Ok(Json::OtherNumber)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::OtherNumber)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
                Ok(Json::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Json, E> {
                Ok(Json::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut array = Vec::new();
                while let Some(item) = items.next_element()? {
                    array.push(item);
                }
                Ok(Json::Array(array))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some(field) = fields.next_entry()? {
                    object.push(field);
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nesting_does_not_exhaust_the_stack() {
        assert!(serde_json::from_str::<Json>(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_json_is_read_and_nothing_else_is(text in "[\\[\\]{}\",:a0-9.eE+-]{0,40}") {
            let json = serde_json::from_str::<Json>(&text).is_ok();
            prop_assert_eq!(json, serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
