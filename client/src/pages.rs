//! Lists that come page by page.

use protocol::UserRef;
use serde::Deserialize;

use crate::{Address, Client, ClientError};

/// Addresses of one page.
const PAGE: &str = "500";

/// A user's addresses, page by page.
#[derive(Debug)]
pub struct AddressPages<'c> {
    client: &'c Client,
    user: UserRef,
    /// Nothing after the last page.
    next: Option<Option<String>>,
}

#[derive(Debug, Deserialize)]
struct Page {
    keys: Vec<Address>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl Client {
    /// A user's addresses, page by page.
    pub fn addresses_of(&self, user: &UserRef) -> AddressPages<'_> {
        AddressPages { client: self, user: user.clone(), next: Some(None) }
    }
}

impl AddressPages<'_> {
    /// The next page; nothing after the last. Whose addresses they are is the parent's word until they are
    /// verified.
    ///
    /// # Errors
    /// [`ClientError`]; a cursor that does not move on is one.
    pub async fn next(&mut self) -> Result<Option<Vec<Address>>, ClientError> {
        let Some(cursor) = self.next.take() else { return Ok(None) };
        let mut query = vec![("user", self.user.as_str()), ("limit", PAGE)];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page = self.client.get(&["keys"], &query).await?;
        // A parent could send us round in circles.
        if page.next_cursor.is_some() && page.next_cursor == cursor {
            return Err(ClientError::Parent("the parent: a cursor that moves on was expected".to_owned()));
        }
        self.next = page.next_cursor.map(Some);
        Ok(Some(page.keys))
    }
}
