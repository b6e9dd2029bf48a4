//! Whether the user of a server may do to every table what a store does there: found out when it connects, since a right
//! that is missing would fail some requests later, and not others.

use crate::api_keys;
use crate::commit::{RowSet, Written};
use crate::dialect::Rendered;
use crate::driver::Driver;
use crate::lane::Lease;
use std::collections::BTreeMap;
use trade_core::store::{Access, StoreError, StoreErrorKind};

/// What is done to a table, with a statement for each that does it to no row.
#[derive(Debug, Default)]
struct Uses {
    rights: Vec<&'static str>,
    statements: Vec<String>,
}

impl Uses {
    fn add(&mut self, right: &'static str, statement: String) {
        if !self.rights.contains(&right) {
            self.rights.push(right);
        }
        self.statements.push(statement);
    }
}

/// Shows that every table may be read, and written where the store is to write, with a message for each.
///
/// # Errors
/// That of the server, with the table's name.
pub(crate) async fn prove<E: Driver>(lease: &mut Lease<'_, E>, access: Access) -> Result<(), StoreError> {
    for (table, uses) in uses(access.may_write()) {
        let text = uses.statements.join("; ").into();
        if let Err(mut error) =
            lease.execute(&Rendered { text, order: Vec::new(), is_kept: false }, &[]).await
        {
            match error.kind {
                StoreErrorKind::Unsupported => {
                    error.detail += &format!(": on {table} it needs {}", uses.rights.join(", "));
                }
                StoreErrorKind::Corrupt => error.detail += &format!(": {table}"),
                _ => {}
            }
            return Err(error);
        }
    }
    Ok(())
}

fn uses(are_written: bool) -> BTreeMap<&'static str, Uses> {
    let mut tables: BTreeMap<_, Uses> = BTreeMap::new();
    for set in RowSet::ALL {
        let shape = set.shape();
        let (table, names) = (shape.table, shape.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let uses = tables.entry(table).or_default();
        uses.add("SELECT", format!("SELECT * FROM {table} WHERE 1 = 0"));
        if !are_written {
            continue;
        }
        let (inserts, changed) = match shape.written {
            Written::Inserted => (true, &[][..]),
            Written::Replaced { key } => (true, &names[key..]),
            Written::Changed { key } => (false, &names[key..]),
            // The last is no column, but the version that is expected.
            Written::ChangedFrom { .. } => (false, &names[1..names.len() - 1]),
        };
        if inserts {
            let names = names.join(", ");
            uses.add(
                "INSERT",
                format!("INSERT INTO {table} ({names}) SELECT {names} FROM {table} WHERE 1 = 0"),
            );
        }
        if !changed.is_empty() {
            let changed: Vec<_> = changed.iter().map(|name| format!("{name} = {name}")).collect();
            uses.add("UPDATE", format!("UPDATE {table} SET {} WHERE 1 = 0", changed.join(", ")));
        }
    }
    add_api_keys(tables.entry(api_keys::TABLE).or_default(), are_written);
    if are_written {
        // Receipts are forgotten after a time.
        let receipts = RowSet::Receipts.shape().table;
        tables.entry(receipts).or_default().add("DELETE", format!("DELETE FROM {receipts} WHERE 1 = 0"));
    }
    tables
}

fn add_api_keys(uses: &mut Uses, are_written: bool) {
    let (table, all) = (api_keys::TABLE, api_keys::COLUMNS.join(", "));
    uses.add("SELECT", format!("SELECT * FROM {table} WHERE 1 = 0"));
    if are_written {
        uses.add("INSERT", format!("INSERT INTO {table} ({all}) SELECT {all} FROM {table} WHERE 1 = 0"));
        let changed = api_keys::COLUMNS[1..].iter().map(|name| format!("{name} = {name}"));
        let changed = changed.collect::<Vec<_>>().join(", ");
        uses.add("UPDATE", format!("UPDATE {table} SET {changed} WHERE 1 = 0"));
    }
}
