//! What can go wrong with a store. An error names the operation, and never what is stored.

use std::time::Duration;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address of the store, or the environment for it, is no use.
    #[error("the store cannot be opened: {0}")]
    Open(String),
    /// It failed, or could not be reached.
    #[error("the store failed to {operation}")]
    Failed {
        /// What was asked.
        operation: &'static str,
        /// What the store's client said.
        #[source]
        source: object_store::Error,
    },
    /// It took too long.
    #[error("the store did not {operation} within {within:?}")]
    Deadline {
        /// What was asked.
        operation: &'static str,
        /// The bound.
        within: Duration,
    },
    /// An object is longer than anything that is stored.
    #[error("the stored object is longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// It says that an object exists, and that there is none.
    #[error("the store refuses a creation because of an object that it does not have")]
    Conflict,
    /// Something else is stored under the name of what was to be stored.
    #[error("something else is stored under this name")]
    Occupied,
}
