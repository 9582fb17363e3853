//! Listing: the names of a folder, in order and bounded, whatever order a store lists in.

use std::collections::BTreeSet;

use futures::{Stream, StreamExt, stream};
use object_store::{ObjectStore, path::Path};
use tokio::time::timeout;

use super::{Store, StoreError};

impl Store {
    /// All names under `prefix`, however many, in whatever order the store lists them. Ends with an error
    /// where one does not come in time.
    pub(super) fn all_names(
        &self,
        prefix: &Path,
    ) -> impl Stream<Item = Result<String, StoreError>> + Send + use<> {
        let (objects, within) = (self.inner.objects.list(Some(prefix)), self.inner.limits.timeout);
        stream::unfold(Some(objects), move |objects| async move {
            let mut objects = objects?;
            let object = match timeout(within, objects.next()).await {
                Err(_) => return Some((Err(StoreError::Deadline { operation: "list", within }), None)),
                Ok(object) => object?,
            };
            match object {
                Ok(object) => {
                    let name = object.location.filename().unwrap_or_default().to_owned();
                    Some((Ok(name), Some(objects)))
                }
                Err(source) => Some((Err(StoreError::Failed { operation: "list", source }), None)),
            }
        })
    }

    /// The first `limit` names under `prefix` that come after `after`, in order.
    pub(super) async fn names(
        &self,
        prefix: &Path,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let failed = |source| StoreError::Failed { operation: "list", source };
        self.operation("list", "missing", async {
            let mut objects = match after {
                Some(name) => self.inner.objects.list_with_offset(Some(prefix), &prefix.clone().join(name)),
                None => self.inner.objects.list(Some(prefix)),
            };
            let mut first = BTreeSet::new();
            while let Some(object) = objects.next().await {
                let location = object.map_err(failed)?.location;
                let Some(name) = location.filename().filter(|name| after.is_none_or(|after| *name > after))
                else {
                    continue;
                };
                first.insert(name.to_owned());
                if first.len() > limit {
                    first.pop_last();
                }
                // S3 lists in order; a folder in any, so there all of it must be seen.
                if first.len() == limit && self.inner.folder.is_none() {
                    break;
                }
            }
            Ok(Some(first.into_iter().collect()))
        })
        .await
        .map(Option::unwrap_or_default)
    }
}
