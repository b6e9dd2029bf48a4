//! A cluster of MariaDB Galera of a test's own, whose nodes are killed.

use crate::database_server::DatabaseServer;
use sqlx::{Connection, MySqlConnection};
use std::time::{Duration, Instant};

/// How long a node may take to have what the others have.
const SYNC_MAX: Duration = Duration::from_secs(60);

/// Nodes on one machine, each of which takes writes.
#[derive(Debug)]
pub struct Galera {
    nodes: Vec<DatabaseServer>,
}

impl Galera {
    /// Makes and starts an empty cluster.
    pub fn start(count: usize) -> Self {
        Self { nodes: DatabaseServer::start_nodes(count) }
    }

    /// The URL of the database at a node.
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    /// Those at all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(DatabaseServer::url).collect()
    }

    /// The ports of all nodes.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(DatabaseServer::port).collect()
    }

    /// Ends a node as a power cut would.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a node again, and waits until it has what the others have.
    pub fn restart(&mut self, node: usize) {
        self.nodes[node].restart();
    }

    /// Has a node stand still.
    pub fn pause(&self, node: usize) {
        self.nodes[node].pause();
    }

    /// Has it go on.
    pub fn resume(&self, node: usize) {
        self.nodes[node].resume();
    }

    /// Waits until every node is one of the whole cluster, and has what was committed at any of them before.
    pub async fn synced(&self) {
        let begin = Instant::now();
        for node in 0..self.nodes.len() {
            loop {
                match self.sync(node).await {
                    Ok(size) if size == self.nodes.len().to_string() => break,
                    other => assert!(begin.elapsed() < SYNC_MAX, "node {node} does not come back: {other:?}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits for what a node has yet to apply: of how many nodes its cluster is.
    async fn sync(&self, node: usize) -> Result<String, sqlx::Error> {
        let mut connection = MySqlConnection::connect(&self.url(node)).await?;
        sqlx::raw_sql("SET SESSION wsrep_sync_wait = 1").execute(&mut connection).await?;
        let sql = "SELECT variable_value FROM information_schema.global_status \
                   WHERE variable_name = 'wsrep_cluster_size'";
        let size = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(size)
    }
}
