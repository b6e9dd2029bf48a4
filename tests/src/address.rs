//! The address of a store, taken apart.

use crate::engine::Engine;
use reqwest::Url;

/// A URL such as `postgres://user:password@host:port/database`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Takes a URL apart.
    ///
    /// # Panics
    /// If it names no host.
    pub fn parse(url: &str) -> Self {
        let parsed = Url::parse(url).expect("the address of a server is a URL");
        assert!(parsed.has_host(), "it names a host");
        Self(parsed)
    }

    /// What speaks there.
    ///
    /// # Panics
    /// If no engine has addresses of this scheme.
    pub fn engine(&self) -> Engine {
        match self.0.scheme() {
            "postgres" | "postgresql" => Engine::Postgres,
            "mysql" | "mariadb" => Engine::Mysql,
            "mongodb" => Engine::Mongo,
            other => panic!("no server has addresses of {other}://"),
        }
    }

    /// Host and port.
    pub fn host(&self) -> (String, u16) {
        let port = match self.engine() {
            Engine::Postgres => 5_432,
            Engine::Mongo => 27_017,
            Engine::Mysql | Engine::Sqlite => 3_306,
        };
        (self.0.host_str().expect("it names a host").to_owned(), self.0.port().unwrap_or(port))
    }

    /// The user.
    pub fn user(&self) -> &str {
        self.0.username()
    }

    /// The password, as it stands in the URL.
    pub fn password(&self) -> Option<&str> {
        self.0.password()
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("/{name}"));
        Self(url)
    }

    /// The same database by way of a port of the loopback interface.
    #[must_use]
    pub fn by_way_of(&self, port: u16) -> Self {
        let mut url = self.0.clone();
        url.set_host(Some("127.0.0.1")).expect("a host can be set");
        url.set_port(Some(port)).expect("a port can be set");
        if self.engine() == Engine::Mongo {
            // A client of a replica set goes on to the addresses that its members give each other.
            let query = url.query().unwrap_or_default().split('&');
            let mut kept: Vec<_> = query.filter(|part| !part.starts_with("replicaSet=")).collect();
            kept.push("directConnection=true");
            let query = kept.join("&");
            url.set_query(Some(query.trim_start_matches('&')));
        }
        Self(url)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({}:{})", self.host().0, self.host().1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_others_are_kept() {
        let address = Address::parse("postgres://ada:p%40ss@db:5433/postgres?sslmode=prefer");
        assert_eq!(
            address.with_database("tn_1").to_string(),
            "postgres://ada:p%40ss@db:5433/tn_1?sslmode=prefer"
        );
        assert_eq!(
            address.by_way_of(7).to_string(),
            "postgres://ada:p%40ss@127.0.0.1:7/postgres?sslmode=prefer"
        );
        assert_eq!(address.host(), ("db".to_owned(), 5_433));
        assert_eq!(Address::parse("mysql://db/x").host(), ("db".to_owned(), 3_306));
    }

    #[test]
    fn a_replica_set_does_not_lead_past_the_way_that_was_given() {
        let way = |address| Address::parse(address).by_way_of(7).to_string();
        assert_eq!(
            way("mongodb://ada:p%40ss@db/tn?authSource=admin&replicaSet=rs0"),
            "mongodb://ada:p%40ss@127.0.0.1:7/tn?authSource=admin&directConnection=true"
        );
        assert_eq!(way("mongodb://db/tn"), "mongodb://127.0.0.1:7/tn?directConnection=true");
    }
}
