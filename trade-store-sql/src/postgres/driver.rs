//! How the driver is told what to do.

use super::classify::Postgres;
use super::dialect::DIALECT;
use super::session::PostgresOptions;
use crate::dialect::{Dialect, Rendered};
use crate::driver::{Columns, Driver, Param};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Executor, Row};
use std::time::Duration;

impl Driver for Postgres {
    type Connection = PgConnection;
    type Options = PostgresOptions;
    type Row = PgRow;

    const DIALECT: &'static Dialect = &DIALECT;
    const IDLE_MAX: Option<Duration> = Some(Duration::from_secs(1));
    const CLOCK: Option<&'static str> = Some("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");

    async fn connect(options: &PostgresOptions) -> Result<PgConnection, sqlx::Error> {
        options.open().await
    }

    async fn fetch(
        connection: &mut PgConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let sql = AssertSqlSafe(text.text.clone());
        match parameters {
            // Not prepared, and so possibly several statements.
            [] => connection.fetch_all(sqlx::raw_sql(sql)).await,
            _ => {
                sqlx::query_with(sql, arguments(parameters)?)
                    .persistent(text.is_kept)
                    .fetch_all(connection)
                    .await
            }
        }
    }

    async fn execute(
        connection: &mut PgConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(text.text.clone());
        let done = match parameters {
            [] => connection.execute(sqlx::raw_sql(sql)).await,
            _ => {
                sqlx::query_with(sql, arguments(parameters)?)
                    .persistent(text.is_kept)
                    .execute(connection)
                    .await
            }
        };
        Ok(done?.rows_affected())
    }
}

fn arguments(parameters: &[Param<'_>]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for parameter in parameters {
        let added = match parameter {
            Param::Int(number) => arguments.add(number),
            Param::Text(text) => arguments.add(text),
            Param::Texts(texts) => arguments.add(texts),
            Param::Pairs(pairs) => {
                arguments.add(pairs.iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>())
            }
            Param::Ints(numbers) => arguments.add(numbers),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl Columns for PgRow {
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        // Of any width.
        self.try_get_unchecked(at)
    }

    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(at)
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(at)
    }
}
