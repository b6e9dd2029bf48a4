//! A trade a commit by 32 clients of pgbench: a function of the database that moves one item between two stations and
//! notes the trade, its shipment and two events. It keeps far less than a network does: no versions, ledger, receipts
//! or lists, and events in no order that a reader could follow.

use crate::database::{Database, Kind, program};
use crate::report::Failure;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, raw_sql};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tests::load::{ITEMS, OPENING_UNITS};

const CLIENTS: &str = "32";

const SCHEMA: &str = "
CREATE TABLE level (
    station integer, item integer, units bigint NOT NULL CHECK (units >= 0), PRIMARY KEY (station, item)
);
CREATE TABLE trade (
    id uuid PRIMARY KEY, seller integer NOT NULL, buyer integer NOT NULL, item integer NOT NULL,
    units bigint NOT NULL, made timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shipment (id uuid PRIMARY KEY, trade uuid NOT NULL, status smallint NOT NULL DEFAULT 0);
CREATE TABLE event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, content jsonb NOT NULL,
    made timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION move(first integer, first_more bigint, second integer, second_more bigint, what integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE level SET units = units + first_more WHERE station = first AND item = what;
    UPDATE level SET units = units + second_more WHERE station = second AND item = what;
END $$;
CREATE FUNCTION make_trade(seller integer, buyer integer, item integer, units bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    trade uuid := gen_random_uuid();
    shipment uuid := gen_random_uuid();
BEGIN
    -- In the order of the stations: two trades the other way round would wait for each other.
    IF seller < buyer THEN
        PERFORM move(seller, -units, buyer, units, item);
    ELSE
        PERFORM move(buyer, units, seller, -units, item);
    END IF;
    INSERT INTO trade VALUES (trade, seller, buyer, item, units);
    INSERT INTO shipment VALUES (shipment, trade);
    INSERT INTO event (name, content) VALUES
        ('tradeInitiated', jsonb_build_object(
            'trade', trade, 'seller', seller, 'buyer', buyer, 'item', item, 'units', units)),
        ('cargoCreated', jsonb_build_object('shipment', shipment, 'trade', trade));
END $$;
";

/// A database of its own.
#[derive(Debug)]
pub(crate) struct Pgbench {
    script: String,
    folder: TempDir,
    database: Database,
}

/// Why it cannot be run here; none where it can.
pub(crate) fn missing() -> Option<String> {
    program("pgbench").is_none().then(|| "pgbench is not installed".to_owned())
}

impl Pgbench {
    /// A new database with so many stations and what they hold.
    pub(crate) async fn open(stations: u64) -> Result<Self, Failure> {
        let database = Database::create(Kind::Postgres).await?;
        let mut connection = PgConnection::connect(&database.url).await?;
        connection.execute(raw_sql(SCHEMA)).await?;
        let levels = format!(
            "INSERT INTO level SELECT station, item, {OPENING_UNITS} \
             FROM generate_series(1, {stations}) station, generate_series(1, {ITEMS}) item"
        );
        connection.execute(raw_sql(AssertSqlSafe(levels))).await?;
        connection.close().await?;
        let script = format!(
            "\\set seller random(1, {stations})\n\
             \\set buyer 1 + (:seller - 1 + random(1, {stations} - 1)) % {stations}\n\
             \\set item random(1, {ITEMS})\n\
             SELECT make_trade(:seller, :buyer, :item, 1);\n"
        );
        Ok(Self { script, folder: tempfile::tempdir()?, database })
    }

    /// Trades per second, over at least so long.
    pub(crate) async fn trades_per_second(&self, duration: Duration) -> Result<f64, Failure> {
        let script = self.folder.path().join("trade.sql");
        std::fs::write(&script, &self.script)?;
        let mut command = tokio::process::Command::new(program("pgbench").ok_or("pgbench is not installed")?);
        command.args(["--no-vacuum", "--protocol=prepared", "--client", CLIENTS, "--jobs=1"]);
        command.arg(format!("--time={:.0}", duration.as_secs_f64().ceil()));
        command.arg("--file").arg(script).arg(&self.database.url);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        match rate {
            Some(rate) if output.status.success() => Ok(rate),
            _ => Err(format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}
