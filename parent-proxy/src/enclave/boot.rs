//! What a boot of the enclave needs once, whichever connection hears of it first: a place in the
//! log, the word that the log may begin, and what earlier boots were told. After that, now and
//! then, what other parents of the deployment stored meanwhile.

use std::time::Duration;

use tokio::time::Instant;
use wire::{Answer, Description, LogHead, Operation};

use super::{
    ask::{Unusable, ask, refused},
    connection::Connection,
    pool::Pool,
    replay,
    told::Told,
};

/// How often the store is looked through for what others stored.
const LOOK: Duration = Duration::from_secs(10);

/// Does what is left to do for the boot that the enclave says it is. True when something changed
/// that its next description will say. A connection that is in use already does not wait for
/// another that is at it.
pub(super) async fn prepare(
    pool: &Pool,
    connection: &Connection,
    description: &Description,
    in_use: bool,
) -> Result<bool, Unusable> {
    let mut told = match pool.told.try_lock() {
        Ok(told) => told,
        Err(_) if in_use => return Ok(false),
        Err(_) => pool.told.lock().await,
    };
    // Another connection may have done it since this description was asked for.
    let mut changed = !description.log_open;
    if told.boot != Some(description.document_hash) {
        *told = Told::default();
        begin_log(pool, connection, description).await?;
        told.boot = Some(description.document_hash);
        changed = true;
    }
    if told.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
        match look(pool, connection, &mut told, description).await {
            Ok(more) => changed |= more,
            // What was told stays in effect; the next look makes good for this one.
            Err(why @ (Unusable::Store(_) | Unusable::Refused(..))) if told.looked.is_some() => {
                tracing::warn!(%why, "orders and policies of other parents are not known");
            }
            Err(why) => return Err(why),
        }
        told.looked = Some(Instant::now());
    }
    Ok(changed)
}

/// Tells what is stored and was not told yet: what restricts before what allows.
async fn look(
    pool: &Pool,
    connection: &Connection,
    told: &mut Told,
    description: &Description,
) -> Result<bool, Unusable> {
    replay::orders(pool, connection, told).await?;
    replay::policy(pool, connection, told, description).await
}

/// Begins the log, or hears where it stands, and fetches what is there already.
async fn begin_log(pool: &Pool, connection: &Connection, description: &Description) -> Result<(), Unusable> {
    let book = &pool.book;
    // Before it begins: what the new boot is to name is where the last one ended.
    let previous = book.last();
    book.begin(description.document_hash, &description.document).await?;
    let head = match ask(pool, connection, Operation::OpenLog { previous }).await? {
        Ok(Answer::LogOpened(head)) => head,
        Ok(_) => return Err(Unusable::Answer("where its log stands")),
        Err(refusal) => return Err(refused("begin its log", &refusal)),
    };
    let LogHead { boot, seq, .. } = head;
    if boot != description.document_hash {
        return Err(Unusable::Answer("the log of the boot that it says it is"));
    }
    let stored = book.progress().borrow().stored;
    if seq > stored {
        let from = stored.saturating_add(1);
        match ask(pool, connection, Operation::ReadLog { from }).await? {
            Ok(Answer::LogLines(lines)) => book.take(lines),
            Ok(_) => return Err(Unusable::Answer("lines of its log")),
            Err(refusal) => return Err(refused("read its log", &refusal)),
        }
        // The rest is asked for when its turn comes.
        book.expect(seq);
    }
    tracing::info!(boot = %boot, seq, stored, "the log has begun");
    Ok(())
}
