//! What a server, and what stands before it, must be: found out when a store connects, since each of it would fail lawful
//! requests later.

use super::classify::Postgres;
use crate::dialect::Rendered;
use crate::driver::Columns;
use crate::errors::{Errors, classify};
use crate::lane::Lease;
use crate::parts::Lanes;
use crate::server::next_lease;
use std::hash::{BuildHasher, RandomState};
use trade_core::store::{StoreError, StoreErrorKind};

pub(super) const OPERATION: &str = "connect";
/// How often two sessions look for what each of them has set.
const LOOKS: usize = 2;

fn refused(detail: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, Postgres::NAME, OPERATION, detail)
}

/// Refuses a pooler that does not keep a session for a client. Statements are prepared in a session, timeouts are set in
/// it, and a held head is a transaction of it.
///
/// Two sessions set the same name to something else, and look for it, in an order in which one that another client used
/// last, and one that is next in turn, are not the same twice: so where sessions are shared, one of the two finds what is
/// not its own. Nothing is prepared before this: it would fail in a shared session, and with less to say.
///
/// # Errors
/// `Unsupported` where one finds something else.
pub(super) async fn sessions(lanes: &Lanes<Postgres>) -> Result<(), StoreError> {
    let mut leases = [lanes.writer.lease(OPERATION).await?, next_lease(&lanes.loader, OPERATION).await?];
    match are_shared(&mut leases).await {
        Ok(false) => {}
        Ok(true) => {
            return Err(refused(
                "a pooler in front of the server gives a client another session for each transaction: set its \
                 pool_mode to session, or name the server itself",
            ));
        }
        // What knows no settings that it did not define cannot be asked, and is no pooler.
        Err(error) if is_answer(&error) => {}
        Err(error) => return Err(error),
    }
    leases.into_iter().for_each(Lease::give_back);
    Ok(())
}

async fn are_shared(leases: &mut [Lease<'_, Postgres>; 2]) -> Result<bool, StoreError> {
    let marks = [mark(), mark()];
    for (lease, mark) in leases.iter_mut().zip(&marks) {
        let set = Rendered::new(&super::dialect::DIALECT, &format!("SET trade_network.session = '{mark}'"));
        lease.execute(&set, &[]).await?;
    }
    for _ in 0..LOOKS {
        for at in [0, 1, 1, 0] {
            let sql = "SELECT coalesce(current_setting('trade_network.session', true), '')";
            if text(&mut leases[at], sql).await? != marks[at] {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What no other client sets: a state is made of random keys.
fn mark() -> String {
    format!("{:016x}", RandomState::new().hash_one(0))
}

/// Refuses a database that cannot hold every character of a name.
///
/// # Errors
/// `Unsupported`, with its encoding.
pub(super) async fn encoding(lease: &mut Lease<'_, Postgres>) -> Result<(), StoreError> {
    let encoding = text(lease, "SHOW server_encoding").await?;
    // The second keeps bytes as they come.
    if ["UTF8", "SQL_ASCII"].iter().any(|all| encoding.eq_ignore_ascii_case(all)) {
        return Ok(());
    }
    Err(refused(format!(
        "the database has the encoding {encoding}, which lacks characters that names may have: create one with \
         ENCODING 'UTF8' TEMPLATE template0"
    )))
}

async fn text(lease: &mut Lease<'_, Postgres>, sql: &str) -> Result<String, StoreError> {
    // Not prepared.
    let rows = lease.fetch(&Rendered::new(&super::dialect::DIALECT, sql), &[]).await?;
    let text = rows.first().map(|row| row.text(0)).transpose().map_err(classify::<Postgres>(OPERATION))?;
    Ok(text.flatten().unwrap_or_default().to_owned())
}

/// Whether the server answered, if only to refuse.
fn is_answer(error: &StoreError) -> bool {
    let source = error.source.as_deref().and_then(|source| source.downcast_ref());
    matches!(source, Some(sqlx::Error::Database(_))) && error.kind != StoreErrorKind::Unavailable
}
