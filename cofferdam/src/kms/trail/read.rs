//! The forms in which events come, each read one event at a time: a file of CloudTrail
//! (`{"Records":[…]}`), an answer of `lookup-events` (`{"Events":[{"CloudTrailEvent":"…"}]}`), an
//! array of either, and such values one after the other, as in JSON Lines.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::event::Event;
use verifier::json::{self, Unambiguous};

/// Where `lookup-events` has the event, as JSON in a string.
const WRAPPED: &str = "CloudTrailEvent";
const IN_ANOTHER: &str = "a list of events, or an event, was expected, found one in the other";

/// Takes an event; an error is for the reader of the file.
type Each<'e> = &'e mut dyn FnMut(Event) -> Result<(), String>;

/// Reads every event. Answers whether the file says that there is more elsewhere.
///
/// # Errors
/// What was expected, with line and column.
pub(super) fn events(json: &[u8], each: Each<'_>) -> Result<bool, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut top = Top { each, more: false };
    loop {
        (&mut top).deserialize(&mut reader)?;
        if reader.end().is_ok() {
            return Ok(top.more);
        }
    }
}

struct Top<'e> {
    each: Each<'e>,
    more: bool,
}

impl Top<'_> {
    /// An event, or one in the wrapping of `lookup-events`, whose JSON is a string.
    fn one<E: serde::de::Error>(&mut self, value: Value) -> Result<(), E> {
        let event = match value {
            Value::String(json) => inner(&json)?,
            Value::Object(fields) if fields.contains_key("eventVersion") && fields.contains_key(WRAPPED) => {
                return Err(E::custom(IN_ANOTHER));
            }
            Value::Object(mut fields) => match fields.remove(WRAPPED) {
                Some(Value::String(json)) => inner(&json)?,
                Some(_) => return Err(E::custom("CloudTrailEvent: JSON in a string was expected")),
                None => fields,
            },
            _ => return Err(E::custom("an event of CloudTrail was expected")),
        };
        if is_insight(&event) {
            return Ok(());
        }
        let event = Event::read(&event).map_err(E::custom)?;
        (self.each)(event).map_err(E::custom)
    }
}

/// CloudTrail Insights says of many calls that they were unusual. It is no call: those have events of
/// their own, and always a source and a name.
fn is_insight(event: &Map<String, Value>) -> bool {
    let text = |name| event.get(name).and_then(Value::as_str);
    text("eventType") == Some("AwsCloudTrailInsight")
        && text("eventVersion").is_some_and(|version| version.starts_with("1."))
        && !["eventSource", "eventName"].iter().any(|name| event.contains_key(*name))
}

fn inner<E: serde::de::Error>(json: &str) -> Result<Map<String, Value>, E> {
    let event = serde_json::from_str(json).and_then(|Unambiguous(json)| serde_json::from_value(json));
    event.map_err(|error| {
        E::custom(format_args!("an event of CloudTrail was expected in the string: {error}, in the string"))
    })
}

impl<'de> DeserializeSeed<'de> for &mut Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events of CloudTrail")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Map::new();
        let (mut list, mut page) = (false, false);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "Records" | "Events" if !list => {
                    map.next_value_seed(List(self))?;
                    list = true;
                }
                "NextToken" if !page => {
                    self.more |= map.next_value::<Option<String>>()?.is_some();
                    page = true;
                }
                "Records" | "Events" | "NextToken" => {
                    return Err(A::Error::custom(
                        "one list of events was expected, found another member again",
                    ));
                }
                _ => {
                    let Unambiguous(value) = map.next_value()?;
                    json::add(&mut fields, name, value)?;
                }
            }
        }
        match list {
            true if fields.contains_key("eventVersion") || fields.contains_key(WRAPPED) => {
                Err(A::Error::custom(IN_ANOTHER))
            }
            true => Ok(()),
            false => self.one(Value::Object(fields)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(Unambiguous(value)) = items.next_element()? {
            self.one(value)?;
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, json: &str) -> Result<(), E> {
        self.one(Value::String(json.to_owned()))
    }
}

/// The array under `Records` or `Events`.
struct List<'t, 'e>(&'t mut Top<'e>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVENT: &str = r#"{"eventVersion":"1.11","eventSource":"kms.amazonaws.com","eventName":"Decrypt",
        "eventTime":"2026-01-01T00:00:00Z","eventID":"a"}"#;

    fn count(json: &str) -> Result<(usize, bool), String> {
        let mut count = 0;
        let more = events(json.as_bytes(), &mut |_| {
            count += 1;
            Ok(())
        });
        more.map(|more| (count, more)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_holds_the_same_events() {
        let wrapped = json!({"EventId": "a", "CloudTrailEvent": EVENT});
        let text = json!(EVENT);
        for (json, expected) in [
            (EVENT.to_owned(), 1),
            (format!("{EVENT}\n{EVENT}\n\n"), 2),
            (format!("[{EVENT},{EVENT}]"), 2),
            (format!("{{\"Records\":[{EVENT},{EVENT}]}}"), 2),
            (format!("{{\"Events\":[{wrapped}]}}"), 1),
            (format!("[{wrapped},{wrapped}]"), 2),
            (format!("[{text},{text}]"), 2),
            (format!("{text}\n{EVENT}"), 2),
            ("{\"Records\":[]}".to_owned(), 0),
        ] {
            assert_eq!(count(&json), Ok((expected, false)), "{json}");
        }
        assert_eq!(count("{\"Events\":[],\"NextToken\":\"x\"}"), Ok((0, true)));
    }

    #[test]
    fn what_stands_twice_or_is_two_things_at_once_is_refused() {
        let again = EVENT.replacen('{', "{\"errorCode\":\"AccessDenied\",\"errorCode\":null,", 1);
        let nested = EVENT.replacen('{', "{\"requestParameters\":{\"keyId\":\"a\",\"keyId\":\"b\"},", 1);
        for event in [again, nested] {
            let text = json!(event).to_string();
            for json in [event.clone(), format!("[{event}]"), format!("{{\"Records\":[{event}]}}"), text] {
                assert!(count(&json).unwrap_err().contains("found one again"), "{json}");
            }
        }
        let wrapped = json!({"CloudTrailEvent": EVENT, "Records": []}).to_string();
        let insight = r#"{\"eventType\":\"AwsCloudTrailInsight\",\"eventVersion\":\"1.08\"}"#;
        let hidden = EVENT.replacen('{', &format!("{{\"CloudTrailEvent\":\"{insight}\","), 1);
        for both in [EVENT.replacen('{', "{\"Records\":[],", 1), wrapped, hidden] {
            assert!(count(&both).unwrap_err().contains("found one in the other"), "{both}");
        }
        for again in
            ["{\"Records\":[],\"Records\":[]}", "{\"Events\":[],\"NextToken\":\"x\",\"NextToken\":null}"]
        {
            assert!(count(again).unwrap_err().contains("again"), "{again}");
        }
    }

    #[test]
    fn insights_are_no_calls() {
        // The form of CloudTrail's User Guide, "Example Insights events".
        let insight = r#"{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","awsRegion":"us-east-1",
            "eventID":"b","eventType":"AwsCloudTrailInsight","recipientAccountId":"123456789012",
            "sharedEventID":"c","insightDetails":{"state":"Start","eventSource":"kms.amazonaws.com",
            "eventName":"Decrypt","insightType":"ApiCallRateInsight"},"eventCategory":"Insight"}"#;
        assert_eq!(count(&format!("[{insight},{EVENT}]")), Ok((1, false)));
        // A call that says of itself that it is none is a call.
        let call = EVENT.replacen('{', "{\"eventType\":\"AwsCloudTrailInsight\",", 1);
        assert_eq!(count(&call), Ok((1, false)));
    }

    #[test]
    fn what_is_no_event_is_an_error_with_its_place() {
        let deep = "[".repeat(1000);
        for (json, place) in [
            ("", "line 1 column 0"),
            ("7", "line 1 column"),
            ("{}", "line 1 column"),
            ("{\n\"Records\":[\n7]}", "line 3 column 2"),
            ("{\"Records\":{}}", "line 1 column"),
            ("[{\"eventName\":\"Decrypt\"}]", "line 1 column"),
            ("{\"Events\":[{\"CloudTrailEvent\":\"{\\n!\"}]}", "line 2 column 1, in the string"),
            ("[{\"CloudTrailEvent\":7}]", "line 1 column"),
            (EVENT.get(..60).unwrap(), "line 1 column 60"),
            (&format!("{EVENT} x"), "line 2 column"),
            (&deep, "recursion limit exceeded"),
        ] {
            let error = count(json).unwrap_err();
            assert!(error.contains(place), "{json}: {error}");
        }
    }
}
