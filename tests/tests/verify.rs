//! `verify` only reads: what is there, as it is, wherever it lies.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use tests::api::Api;
use tests::engine::{Engine, Site};
use tests::replica_set::ReplicaSet;
use tests::server::{Server, assert_verified, binary, run};
use tests::world::World;

/// Asserts that there is nothing to verify, for a reason in one line.
async fn assert_refused(store: &str, reason: &str) {
    let output = run(&["verify", "--store", store]).await;
    let error = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(reason) && error.trim_end().lines().count() == 1, "{error}");
    assert!(output.stdout.is_empty());
}

async fn what_holds_no_network_is_told_so_and_stays_without(site: Site) {
    if site.engine() == Engine::Sqlite {
        // Somebody else's file.
        let file = site.url().trim_start_matches("sqlite://");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut file = options.connect().await.expect("a file");
        file.execute("CREATE TABLE x (y)").await.expect("a table");
        file.close().await.expect("it is closed");
    }
    assert_refused(site.url(), "holds no trade network").await;
    assert_refused(site.url(), "holds no trade network").await;
    Server::start(site.url()).await.stop("TERM").await;
    assert_verified(site.url()).await;
}

tests::on_every_engine!(what_holds_no_network_is_told_so_and_stays_without);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn a_secondary_is_verified_and_does_not_serve() {
    let set = ReplicaSet::start(2);
    let server = Server::start(set.url()).await;
    Api::new(server.url()).station("ceres", "tea", 3).await;
    server.stop("TERM").await;
    let secondary = set.url_of(1 - set.primary().await);
    assert_verified(&secondary).await;
    let output = run(&["--listen", "127.0.0.1:0", "--store", &secondary]).await;
    let error = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("the server is a secondary"), "{error}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Runs `verify` as a user who may not write here. Who runs the tests may be the one whom nothing is forbidden.
fn verify_unprivileged(world: &World, store: &str) -> std::process::Output {
    let is_root = fs::metadata(world.path("")).expect("the folder is there").uid() == 0;
    let mut command = Command::new(binary());
    if is_root {
        // Where the other user can run it.
        let copy = world.path("trade-network");
        if !Path::new(&copy).exists() {
            fs::copy(binary(), &copy).expect("there is room for it");
        }
        set_mode(Path::new(&world.path("")), 0o755);
        command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(copy);
    }
    command.args(["verify", "--store", store]).output().expect("it runs")
}

/// A folder in which nobody may write, with a copy of some of a store's files.
fn copied(world: &World, folder: &str, suffixes: &[&str]) -> String {
    let folder = world.path(folder);
    fs::create_dir(&folder).expect("a folder can be made");
    for name in suffixes.iter().map(|suffix| format!("network.db{suffix}")) {
        let copy = Path::new(&folder).join(&name);
        fs::copy(world.path(&name), &copy).expect("a copy");
        set_mode(&copy, 0o444);
    }
    set_mode(Path::new(&folder), 0o555);
    folder
}

#[tokio::test]
async fn a_copy_that_may_not_be_written_is_verified() {
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    Api::new(server.url()).station("ceres", "tea", 3).await;
    // As a server leaves it that was killed, and as one that ended in order.
    let killed = copied(&world, "killed", &["", "-wal", "-shm"]);
    server.stop("TERM").await;
    let closed = copied(&world, "closed", &[""]);
    for copy in [killed, closed] {
        let output = verify_unprivileged(&world, &format!("sqlite://{copy}/network.db"));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.starts_with("verified: 1 events"), "{copy}: {output:?}");
        // So that the folder can be removed.
        set_mode(Path::new(&copy), 0o755);
    }
}
