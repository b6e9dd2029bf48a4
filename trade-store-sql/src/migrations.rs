//! The steps that bring a schema up to date, and what was applied of them.

use crate::errors::Errors;
use crate::rows::{self, VERSION};
use sha2::{Digest, Sha256};
use trade_core::store::{StoreError, StoreErrorKind};

/// The operation in errors.
pub(crate) const OPERATION: &str = "migrate";

/// Every step from nothing on; its place, from 1, is its version. A step that was released never changes.
#[derive(Debug)]
pub(crate) struct Migrations(pub(crate) [&'static str; VERSION]);

impl Migrations {
    /// The number of steps that are applied, from their versions and checksums in order, each of which must be ours.
    ///
    /// # Errors
    /// `NewerVersion` where there are more, `Unsupported` where one is not ours.
    pub(crate) fn known<E: Errors>(&self, applied: &[(i64, Vec<u8>)]) -> Result<usize, StoreError> {
        let refused = |detail| Err(StoreError::new(StoreErrorKind::Unsupported, E::NAME, OPERATION, detail));
        for (index, (version, checksum)) in applied.iter().enumerate() {
            match self.0.get(index) {
                None => return Err(rows::newer::<E>(OPERATION, *version)),
                Some(sql) if *checksum != checksum_of(sql) => {
                    return refused(format!("schema version {version} is not the one this program knows"));
                }
                Some(_) => {}
            }
        }
        Ok(applied.len())
    }

    /// Refuses a schema that lacks a step, for whoever is not to add it.
    ///
    /// # Errors
    /// `Unsupported` where it does.
    pub(crate) fn refuse_older<E: Errors>(&self, known: usize) -> Result<(), StoreError> {
        let detail = match known {
            0 => "it holds no trade network".to_owned(),
            known if known < VERSION => {
                format!(
                    "the schema has version {known}, this program needs {VERSION}, and is not to change it"
                )
            }
            _ => return Ok(()),
        };
        Err(StoreError::new(StoreErrorKind::Unsupported, E::NAME, OPERATION, detail))
    }

    /// The steps after the first `known`, with version and checksum.
    pub(crate) fn missing(&self, known: usize) -> impl Iterator<Item = (i64, Vec<u8>, &'static str)> {
        (1_i64..).zip(self.0).skip(known).map(|(version, sql)| (version, checksum_of(sql), sql))
    }
}

fn checksum_of(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.as_bytes()).to_vec()
}
