//! `verify`: proves that the log and the tables of a store agree.

use crate::{Ended, Failure, open, say};
use trade_core::store::Access;
use trade_core::verify::{Report, VerifyError, verify};
use trade_network::store::{StoreOptions, causes};

/// Checks the store, which is only read, and prints what was looked at.
pub(crate) async fn run(url: String) -> Ended {
    if url == "memory:" {
        return Err(Failure::Usage(
            "memory: holds nothing once its process has ended; name another --store".into(),
        ));
    }
    let opened = open(&url, Access::ReadOnly, &StoreOptions::default()).await?;
    let verified = verify(&*opened.store()).await;
    opened.close().await;
    match verified {
        Ok(report) => {
            say(&words(&report));
            Ok(())
        }
        Err(VerifyError::Store(error)) => {
            Err(Failure::Failed(format!("the store cannot be read: {}", causes(&error))))
        }
        Err(error) => Err(Failure::Failed(format!("not verified: {error}"))),
    }
}

fn words(report: &Report) -> String {
    let Report { events, steps, trades, cargo, stations, levels, movements, receipts } = report;
    format!(
        "verified: {events} events of {steps} steps fold to {trades} trades, {cargo} shipments and {levels} stock \
         levels at {stations} stations; {movements} ledger rows balance; {receipts} receipts name \
         their steps"
    )
}
