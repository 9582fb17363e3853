//! Bodies that the protocol refused, read once more to say which field is wrong. What a body must be is the
//! protocol's to decide: here only its refusals are explained, and nothing is taken that it refused.

use std::collections::BTreeSet;

use chains::Chain;
use protocol::{
    Index, KeyId, Label, NameError, Purpose, UserRef,
    api::{
        BodyError, MAX_ADDRESSES, MAX_PREVIOUS, MAX_REWRAPPED, MAX_SIGNATURES, MAX_SIGNING_KEYS, Route,
        may_be_address,
    },
};

use super::{
    Problem,
    fields::Fields,
    input::{self, Json},
};

/// Of a body that asks for addresses.
pub(super) fn addresses(route: Route, body: &[u8], error: &BodyError) -> Problem {
    explain(body, error, |mut fields| {
        if route != Route::CreateAddresses {
            return address(fields);
        }
        let items = fields.array("addresses")?;
        fields.finish()?;
        counted("addresses", "items", items.len(), 1, MAX_ADDRESSES)?;
        each_item("addresses", items, address)
    })
}

/// Of a body that asks for signatures.
pub(super) fn signatures(route: Route, body: &[u8], error: &BodyError) -> Problem {
    explain(body, error, |mut fields| {
        if route != Route::SignBatch {
            return transaction(fields);
        }
        let items = fields.array("signatures")?;
        fields.finish()?;
        counted("signatures", "transactions", items.len(), 1, MAX_SIGNATURES)?;
        each_item("signatures", items, transaction)
    })
}

/// Of a body that asks for keys to be rewrapped.
pub(super) fn rewrap(body: &[u8], error: &BodyError) -> Problem {
    explain(body, error, |mut fields| {
        let keys = key_ids(&mut fields, MAX_REWRAPPED)?;
        expected(&mut fields, &keys)?;
        fields.finish()
    })
}

/// Of a body that says what a key is expected to be.
pub(super) fn check(body: &[u8], error: &BodyError) -> Problem {
    explain(body, error, |mut fields| {
        address_or_public_key(&mut fields, false)?;
        fields.finish()
    })
}

/// Of a body with the order that retires a key.
pub(super) fn replacement(body: &[u8], error: &BodyError) -> Problem {
    explain(body, error, |mut fields| {
        let order = text(&mut fields, "order")?.ok_or_else(|| fields.missing("order"))?;
        if data_encoding::BASE64.decode(order.as_bytes()).is_err() {
            return Err(wrong(&fields, "order", "an envelope in standard base64", &order));
        }
        fields.finish()
    })
}

/// The field that is wrong, where one can be named.
fn explain(body: &[u8], error: &BodyError, read: impl FnOnce(Fields) -> Result<(), Problem>) -> Problem {
    match input::json(body).and_then(|json| Fields::new(json, "")).and_then(read) {
        Err(problem) => problem,
        Ok(()) => Problem::malformed(error.to_string()),
    }
}

/// The items of a batch, each of which is named in its problem.
fn each_item(name: &str, items: Vec<Json>, read: fn(Fields) -> Result<(), Problem>) -> Result<(), Problem> {
    let read = |(at, item)| {
        let read = Fields::new(item, &format!("{name}[{at}]")).and_then(read);
        read.map_err(|problem| problem.of_item(at))
    };
    items.into_iter().enumerate().try_for_each(read)
}

fn address(mut fields: Fields) -> Result<(), Problem> {
    let user = fields.text("user", UserRef::try_from)?;
    let chain = fields.text("chain", |text| text.parse::<Chain>().map_err(NameError::Chain))?;
    let purpose = fields.text("purpose", |text| text.parse::<Purpose>())?;
    fields.number("index", Index::try_from)?;
    let label = fields.optional_text("label", Label::try_from)?;
    if purpose == Some(Purpose::Secondary) && label.is_none() {
        return Err(fields.missing("label"));
    }
    user.ok_or_else(|| fields.missing("user"))?;
    chain.ok_or_else(|| fields.missing("chain"))?;
    fields.finish()
}

fn transaction(mut fields: Fields) -> Result<(), Problem> {
    let chain = fields.text("chain", |text| text.parse::<Chain>().map_err(NameError::Chain))?;
    let chain = chain.ok_or_else(|| fields.missing("chain"))?;
    let many = chain == Chain::Bitcoin;
    let keys = key_ids(&mut fields, if many { MAX_SIGNING_KEYS } else { 1 })?;
    text(&mut fields, "transaction")?.ok_or_else(|| fields.missing("transaction"))?;
    let name = fields.name("previous_transactions");
    let previous = fields.optional_array("previous_transactions")?.unwrap_or_default();
    counted(&name, "transactions", previous.len(), 0, if many { MAX_PREVIOUS } else { 0 })?;
    for (at, item) in previous.iter().enumerate() {
        if !matches!(item, Json::Text(_)) {
            return Err(Problem::field(format!("{name}[{at}]"), "a string", item.described()));
        }
    }
    expected(&mut fields, &keys)?;
    fields.finish()
}

/// Ids of keys, each once.
fn key_ids(fields: &mut Fields, most: usize) -> Result<Vec<KeyId>, Problem> {
    let name = fields.name("keys");
    let items = fields.array("keys")?;
    counted(&name, "key ids", items.len(), 1, most)?;
    let mut keys = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let here = || format!("{name}[{at}]");
        let id = if let Json::Text(text) = item { text.parse().ok() } else { None };
        let id = id.ok_or_else(|| Problem::name(here(), &NameError::KeyId, item.described()))?;
        if keys.contains(&id) {
            return Err(Problem::field(here(), "each key once", "one again"));
        }
        keys.push(id);
    }
    Ok(keys)
}

/// What some of the keys are expected to be.
fn expected(fields: &mut Fields, keys: &[KeyId]) -> Result<(), Problem> {
    let name = fields.name("expected");
    let mut left: BTreeSet<&KeyId> = keys.iter().collect();
    for (at, item) in fields.optional_array("expected")?.unwrap_or_default().into_iter().enumerate() {
        let mut item = Fields::new(item, &format!("{name}[{at}]"))?;
        let id = item.text("key_id", |text| text.parse::<KeyId>())?.ok_or_else(|| item.missing("key_id"))?;
        if !left.remove(&id) {
            return Err(Problem::field(item.name("key_id"), "a key of the request, each once", "another"));
        }
        address_or_public_key(&mut item, true)?;
        item.finish()?;
    }
    Ok(())
}

/// Exactly one of the two, or none where neither is needed.
fn address_or_public_key(fields: &mut Fields, needed: bool) -> Result<(), Problem> {
    let (address, public_key) = (text(fields, "address")?, text(fields, "public_key")?);
    match (address, public_key) {
        (Some(_), Some(_)) => {
            Err(Problem::field(fields.name("public_key"), "address or public_key alone", "both"))
        }
        (None, None) if needed => {
            Err(Problem::field(fields.name("address"), "address or public_key", "neither"))
        }
        (Some(address), None) if !may_be_address(&address) => {
            Err(wrong(fields, "address", "1 to 128 letters and digits", &address))
        }
        (None, Some(key))
            if !matches!(key.len(), 64 | 66) || data_encoding::HEXLOWER.decode(key.as_bytes()).is_err() =>
        {
            Err(wrong(fields, "public_key", "32 or 33 bytes in lower-case hexadecimal", &key))
        }
        _ => Ok(()),
    }
}

/// A string of any content that may be missing.
fn text(fields: &mut Fields, field: &str) -> Result<Option<String>, Problem> {
    fields.text(field, Ok)
}

fn wrong(fields: &Fields, field: &str, expected: &'static str, text: &str) -> Problem {
    Problem::field(fields.name(field), expected, format!("a string of {} bytes", text.len()))
}

fn counted(name: &str, what: &str, found: usize, least: usize, most: usize) -> Result<(), Problem> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Problem::field(name, format!("{least} to {most} {what}"), format!("an array of {found} items")))
}
