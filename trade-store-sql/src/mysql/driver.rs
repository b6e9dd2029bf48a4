//! How the driver is told what to do.

use super::classify::MySql;
use super::dialect::DIALECT;
use super::session::MySqlOptions;
use crate::dialect::{Dialect, Rendered};
use crate::driver::{Columns, Driver, Param};
use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlRow};
use sqlx::{Arguments, AssertSqlSafe, Executor, Row};
use std::time::Duration;

impl Driver for MySql {
    type Connection = MySqlConnection;
    type Options = MySqlOptions;
    type Row = MySqlRow;

    const DIALECT: &'static Dialect = &DIALECT;
    const IDLE_MAX: Option<Duration> = Some(Duration::from_secs(1));
    const CLOCK: Option<&'static str> =
        Some("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000");

    async fn connect(options: &MySqlOptions) -> Result<MySqlConnection, sqlx::Error> {
        options.open().await
    }

    async fn fetch(
        connection: &mut MySqlConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        if parameters.is_empty() {
            return connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text.text.clone()))).await;
        }
        query(text, parameters)?.fetch_all(connection).await
    }

    async fn execute(
        connection: &mut MySqlConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<u64, sqlx::Error> {
        // What begins and ends transactions is not everywhere among what can be prepared.
        let done = if parameters.is_empty() {
            connection.execute(sqlx::raw_sql(AssertSqlSafe(text.text.clone()))).await?
        } else {
            query(text, parameters)?.execute(connection).await?
        };
        Ok(done.rows_affected())
    }
}

type Query = sqlx::query::Query<'static, sqlx::MySql, MySqlArguments>;

fn query(text: &Rendered, parameters: &[Param<'_>]) -> Result<Query, sqlx::Error> {
    let mut arguments = MySqlArguments::default();
    for number in &text.order {
        let parameter = number.checked_sub(1).and_then(|place| parameters.get(place));
        let added = match parameter {
            Some(Param::Int(number)) => arguments.add(number),
            Some(Param::Text(text)) => arguments.add(text.map(str::to_owned)),
            Some(list) => arguments.add(list.json()),
            None => Err(format!("there is no parameter {number}").into()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(text.text.clone()), arguments).persistent(text.is_kept))
}

impl Columns for MySqlRow {
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        match self.try_get(at) {
            // The place in a list is unsigned in MySQL.
            Err(sqlx::Error::ColumnDecode { index, source }) => {
                let unsigned: Option<u64> =
                    self.try_get(at).map_err(|_| sqlx::Error::ColumnDecode { index, source })?;
                unsigned.map(i64::try_from).transpose().map_err(|error| sqlx::Error::Decode(error.into()))
            }
            found => found,
        }
    }

    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(at)
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(at)
    }
}
