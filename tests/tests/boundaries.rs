//! What a crate may know: the arrows of the design, read from what cargo resolves and from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    tests::server::root()
}

/// The names of all packages a package is built with, without those for its tests.
fn tree(package: &str, features: &[&str]) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{lib}",
        ])
        .args(features)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .expect("cargo writes UTF-8")
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

fn assert_free_of(package: &str, features: &[&str], forbidden: &[&str]) {
    let tree = tree(package, features);
    assert!(tree.len() > 5, "{package}: a tree of {} packages is none", tree.len());
    for name in forbidden {
        assert!(!tree.iter().any(|found| found == name), "{package} is built with {name}");
    }
}

#[test]
fn the_core_knows_no_database_and_no_http() {
    let forbidden = [
        "sqlx",
        "sqlx_core",
        "sqlx_sqlite",
        "mongodb",
        "bson",
        "axum",
        "axum_core",
        "hyper",
        "http",
        "reqwest",
    ];
    assert_free_of("trade-core", &[], &forbidden);
    assert_free_of("trade-core", &["--all-features"], &forbidden);
}

#[test]
fn the_http_crate_knows_no_store() {
    assert_free_of(
        "trade-http",
        &[],
        &["sqlx", "sqlx_core", "mongodb", "bson", "trade_store_sql", "trade_store_mongo"],
    );
}

#[test]
fn a_store_knows_no_http() {
    let forbidden = ["axum", "hyper", "http", "reqwest", "trade_http"];
    for (store, others) in [
        ("trade-store-sql", ["mongodb", "bson", "trade_store_mongo"]),
        ("trade-store-mongo", ["sqlx", "sqlx_core", "trade_store_sql"]),
    ] {
        assert_free_of(store, &["--all-features"], &forbidden);
        assert_free_of(store, &["--all-features"], &others);
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("its entries too").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The lines of a crate's sources that hold one of `words`, tests and the testing kit aside.
fn lines_with(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in sources(&root().join(folder)) {
        let text = fs::read_to_string(&path).expect("sources are text");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| words.iter().any(|word| line.contains(word)));
        found.extend(lines.map(|line| format!("{}: {line}", path.display())));
    }
    found
}

#[test]
fn the_rules_know_no_clock_no_chance_and_no_io() {
    let words = [
        "SystemTime",
        "Instant::now",
        "rand::",
        "async ",
        "tokio",
        "std::fs",
        "std::env",
        "HashMap",
        "HashSet",
    ];
    assert_eq!(lines_with("trade-core/src/rules", &words), [""; 0]);
}

#[test]
fn the_core_reads_the_time_in_one_place_and_the_environment_nowhere() {
    let clock = lines_with("trade-core/src", &["SystemTime::now"]);
    assert!(clock.iter().all(|line| line.contains("clock.rs")), "{clock:?}");
    let environment = lines_with("trade-core/src", &["std::env", "env::var"]);
    assert!(environment.iter().all(|line| line.contains("/testing/")), "{environment:?}");
}

#[test]
fn the_only_binary_of_the_workspace_is_the_server() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages are listed");
    let targets =
        packages.iter().flat_map(|package| package["targets"].as_array().expect("targets are listed"));
    let binaries = targets.filter(|target| target["kind"][0] == "bin").map(|target| target["name"].clone());
    assert_eq!(binaries.collect::<Vec<_>>(), ["trade-network"]);
}

/// The rows of the first table after a heading, cell by cell.
fn table(text: &str) -> Vec<Vec<&str>> {
    let lines =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The first word in code font of a cell.
fn word(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or_default().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The features of a crate, but `default`.
fn features(folder: &str) -> BTreeSet<String> {
    let manifest = read(&format!("{folder}/Cargo.toml"));
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next());
    let named = features.unwrap_or_default().lines().filter_map(|line| line.split_once(" = "));
    named.map(|(name, _)| name.to_owned()).filter(|name| name != "default").collect()
}

/// Asserts that the server's help has an address of the same scheme.
fn assert_is_taken(address: &str) {
    let scheme = address.split("://").next().expect("an address has a scheme");
    let help = Command::new(tests::server::binary()).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("help is text");
    assert!(help.contains(&format!("{scheme}://")), "the server's help does not name {scheme}");
}

#[test]
fn the_table_of_engines_names_every_feature_its_type_and_an_address_that_the_server_takes() {
    let (library, page) = (read("trade-store-sql/src/lib.rs"), read("trade-store-sql/README.md"));
    let rows = table(&page);
    let listed: BTreeSet<String> = rows.iter().map(|row| word(row[1])).collect();
    assert_eq!(listed, features("trade-store-sql"));
    for row in &rows {
        let (feature, name) = (word(row[1]), word(row[2]));
        let export = format!("#[cfg(feature = \"{feature}\")]\npub use {feature}::{name};");
        assert!(library.contains(&export), "{export}");
        assert_is_taken(&word(row[3]));
    }
}

#[test]
fn the_table_of_stores_names_those_of_every_crate_and_the_addresses_that_the_server_takes() {
    let page = read("README.md");
    let rows = table(page.split("### Stores\n").nth(1).expect("README.md has a part on stores"));
    let mut listed = BTreeSet::new();
    for row in &rows {
        let (krate, feature, name, address) = (word(row[1]), word(row[2]), word(row[3]), word(row[4]));
        assert!(read(&format!("{krate}/src/lib.rs")).contains(&name), "{krate} exports {name}");
        assert_is_taken(&address);
        listed.insert((krate, feature));
    }
    let of_sql = features("trade-store-sql").into_iter().map(|name| ("trade-store-sql".to_owned(), name));
    let mut all: BTreeSet<_> = of_sql.collect();
    assert_eq!(features("trade-store-mongo"), BTreeSet::new(), "a feature would have a row of its own");
    all.insert(("trade-store-mongo".to_owned(), String::new()));
    assert_eq!(listed, all);
}
