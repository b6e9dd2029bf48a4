//! How the driver is told what to do.

use super::classify::Sqlite;
use super::dialect::DIALECT;
use super::open_file::OpenFile;
use crate::dialect::{Dialect, Rendered};
use crate::driver::{Columns, Driver, Param};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Row};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How the connections of a store are opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub(super) connect: SqliteConnectOptions,
    /// The file that has to be the one at the path, where it is known.
    pub(super) file: Option<Arc<OpenFile>>,
}

impl SqliteOptions {
    async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        let connection = self.connect.connect().await?;
        if let Some(file) = &self.file {
            // It may have opened another than the others have.
            file.look().map_err(io::Error::other)?;
        }
        Ok(connection)
    }
}

impl Driver for Sqlite {
    type Connection = SqliteConnection;
    type Options = SqliteOptions;
    type Row = SqliteRow;

    const DIALECT: &'static Dialect = &DIALECT;
    const IDLE_MAX: Option<Duration> = None;
    const CLOCK: Option<&'static str> = None;

    async fn connect(options: &SqliteOptions) -> Result<SqliteConnection, sqlx::Error> {
        options.open().await
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        query(text, parameters)?.fetch_all(connection).await
    }

    async fn execute(
        connection: &mut SqliteConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<u64, sqlx::Error> {
        query(text, parameters)?.execute(connection).await.map(|done: SqliteQueryResult| done.rows_affected())
    }
}

fn query(
    text: &Rendered,
    parameters: &[Param<'_>],
) -> Result<sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for parameter in parameters {
        let added = match parameter {
            Param::Int(number) => arguments.add(number),
            Param::Text(text) => arguments.add(text.map(str::to_owned)),
            list => arguments.add(list.json()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(text.text.clone()), arguments).persistent(text.is_kept))
}

impl Columns for SqliteRow {
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(at)
    }

    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(at)
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(at)
    }
}
