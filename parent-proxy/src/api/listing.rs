//! `GET /v1/keys`: a user's keys from their markers in the store; the keys of an address, and all
//! keys, from the index. Records are read from the store in any case.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use data_encoding::BASE64URL_NOPAD;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{KeyId, UserRef, api::may_be_address};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App, Problem,
    keys::find,
    openapi::{AuthProblems, InputProblems, RecordProblems, ServiceProblems},
    problem::SOON,
    query::Query,
    signed::{self, Content},
};
use crate::{
    address::{Address, AddressError, StoredKey, rfc_3339},
    index::{FoundKeys, IndexError, canonical},
    store::{Cursor, StoreError},
};

/// Keys of a page, where none is asked for.
const PAGE: usize = 100;
/// The most keys of a page.
const MAX_PAGE: usize = 1000;
/// Records of a page that are read at once.
const READ_AT_ONCE: usize = 32;
/// The first bytes of a cursor in the list of all keys, as long as those of a user's.
const CURSOR_OF_ALL: [u8; 9] = [2, 0, 0, 0, 0, 0, 0, 0, 0];
/// When to ask again for what is being made.
const BUILDING: Duration = Duration::from_secs(5);

/// Some keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyPage {
    /// In the order of their ids.
    keys: Vec<Address>,
    /// For the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ASvYBsl_DgCvBpNjQ1KlVDn1PqsiGiBDNPgW1bSoFTKBOclyrqh3Wh8")]
    next_cursor: Option<String>,
    /// Keys of the page whose stored records cannot be used; not of a user's keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false, example = json!(["key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq"]))]
    unreadable: Vec<String>,
    /// All keys that were stored by this time, by whichever parent, are in the index that the page is
    /// from (RFC 3339). Later ones may be. Not of a user's keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime, example = "2023-11-14T22:13:20.000Z")]
    indexed_at: Option<String>,
}

/// Which keys are asked for.
enum KeyQuery {
    OfUser { user: UserRef, cursor: Option<Cursor>, limit: usize },
    OfAddress(String),
    All { after: Option<KeyId>, limit: usize },
}

/// Lists keys: those of `user` (role `keys.read`), of `address` (`keys.read` or `audit.read`), or all
/// (`audit.read`).
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "listKeys", tag = "keys",
    security(("messageSignature" = [])),
    params(
        ("user" = Option<String>, Query, description = "The exchange's reference of the user: 1 to 128 bytes of UTF-8 without control or invisible characters, and without white space at the ends. Not together with `address`.", min_length = 1, max_length = 128, example = "alice"),
        ("address" = Option<String>, Query, description = "An address on any chain, on Bitcoin either of the two. Without a cursor and a limit.", min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9]+$"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", min_length = 55, max_length = 55, pattern = "^[A-Za-z0-9_-]{55}$"),
        ("limit" = Option<u32>, Query, description = "The most keys of the page; 100 unless given.", minimum = 1, maximum = 1000, example = 100),
    ),
    responses(
        (status = 200, description = "A page of keys; keys made meanwhile may be on any page.", body = KeyPage),
        InputProblems, AuthProblems, RecordProblems, ServiceProblems,
    ),
)]
pub(super) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<KeyPage>, Problem> {
    let request = signed::read(request, Content::Any).await?;
    let asked = KeyQuery::parse(request.query.as_deref())?;
    signed::authorize(&app, request).await?;
    match asked {
        KeyQuery::OfUser { user, cursor, limit } => of_user(app, &user, cursor.as_ref(), limit).await,
        KeyQuery::OfAddress(address) => {
            let found = app.index.find(&address).await?;
            let has_it = |key: &StoredKey| key.addresses().any(|of| canonical(of) == canonical(&address));
            of_index(app, found, has_it).await
        }
        KeyQuery::All { after, limit } => {
            let found = app.index.page(after, limit).await?;
            of_index(app, found, |_| true).await
        }
    }
    .map(Json)
}

impl KeyQuery {
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut query = Query::parse(query)?;
        let (user, address) = (query.take("user")?, query.take("address")?);
        if let Some(address) = address {
            if user.is_some() {
                return Err(Problem::field("address", "user or address", "both"));
            }
            query.finish()?;
            if !may_be_address(&address) {
                let found = format!("{} bytes", address.len());
                return Err(Problem::field("address", "1 to 128 letters and digits", found));
            }
            return Ok(Self::OfAddress(address));
        }
        let read = |user: String| {
            let found = format!("a string of {} bytes", user.len());
            UserRef::try_from(user).map_err(|error| Problem::name("user", &error, found))
        };
        let user = user.map(read).transpose()?;
        let cursor = query.take("cursor")?;
        let limit = query.take("limit")?.map_or(Ok(PAGE), |text| limit(&text))?;
        query.finish()?;
        Ok(match user {
            Some(user) => {
                let cursor = cursor.map(|text| Cursor::parse(&text, &user)).transpose()?;
                Self::OfUser { user, cursor, limit }
            }
            None => Self::All { after: cursor.map(|text| cursor_of_all(&text)).transpose()?, limit },
        })
    }
}

fn limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    let expected = || format!("a whole number from 1 to {MAX_PAGE}");
    limit
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| Problem::field("limit", expected(), "another value"))
}

fn cursor_of_all(text: &str) -> Result<KeyId, Problem> {
    let read = || {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let key = bytes.strip_prefix(&CURSOR_OF_ALL).filter(|key| key.len() == 32)?;
        format!("key_{}", data_encoding::BASE32_NOPAD.encode(key).to_ascii_lowercase()).parse().ok()
    };
    let expected = "the next_cursor of an earlier answer in the list of all keys";
    read().ok_or_else(|| Problem::field("cursor", expected, "another value"))
}

async fn of_user(
    app: Arc<App>,
    user: &UserRef,
    cursor: Option<&Cursor>,
    limit: usize,
) -> Result<KeyPage, Problem> {
    let page = app.users.page(user, cursor, limit).await?;
    let found: Vec<Option<StoredKey>> = stream::iter(page.keys)
        .map(|key_id| find(Arc::clone(&app), key_id))
        .buffered(READ_AT_ONCE)
        .try_collect()
        .await?;
    // A marker without a record is of a creation that was cut short.
    let keys: Vec<StoredKey> = found.into_iter().flatten().collect();
    if let Some(other) = keys.iter().find(|key| key.user() != user) {
        tracing::error!(key_id = %other.key_id(), "a key is marked as another user's");
        return Err(Problem::stored(StatusCode::BAD_GATEWAY, &AddressError::Identity));
    }
    Ok(KeyPage {
        keys: keys.iter().map(StoredKey::to_address).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        unreadable: Vec::new(),
        indexed_at: None,
    })
}

/// The records of what the index found, which say what is true of it. One that cannot be used hides no
/// other.
async fn of_index(
    app: Arc<App>,
    found: FoundKeys,
    is_asked_for: impl Fn(&StoredKey) -> bool,
) -> Result<KeyPage, Problem> {
    let last = found.keys.last().filter(|_| found.more);
    let next_cursor = last.map(|key| BASE64URL_NOPAD.encode(&[&CURSOR_OF_ALL[..], key.as_bytes()].concat()));
    let mut page = KeyPage {
        keys: Vec::with_capacity(found.keys.len()),
        next_cursor,
        unreadable: Vec::new(),
        indexed_at: found.as_of.and_then(rfc_3339),
    };
    let records = stream::iter(found.keys).map(|key_id| {
        let keys = app.keys.clone();
        async move { (key_id, keys.read(&key_id).await) }
    });
    let mut records = records.buffered(READ_AT_ONCE);
    while let Some((key_id, record)) = records.next().await {
        let stored = match record {
            // The store has it no longer.
            Ok(None) => continue,
            Ok(Some(bytes)) => StoredKey::parse(&bytes, &key_id).ok(),
            Err(StoreError::TooLarge { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        match stored {
            Some(key) if is_asked_for(&key) => page.keys.push(key.to_address()),
            Some(_) => {}
            None => {
                tracing::error!(%key_id, "a stored record is not usable");
                page.unreadable.push(key_id.to_string());
            }
        }
    }
    Ok(page)
}

impl From<IndexError> for Problem {
    fn from(error: IndexError) -> Self {
        match &error {
            IndexError::Building => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "index.building",
                "The index of keys is being made",
                "the index has not seen all of the store since the start: retry after Retry-After",
            )
            .retry_after(BUILDING),
            IndexError::Failed(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "index.unavailable",
                "The index of keys cannot be read",
                "it is opened again, or made anew from the store; repeating the request later is safe",
            )
            .retry_after(SOON),
        }
    }
}
