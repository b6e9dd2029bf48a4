//! The address of a store, taken apart.

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

    /// Whether it is one of PostgreSQL; otherwise it is one of MySQL or MariaDB.
    pub fn is_postgres(&self) -> bool {
        self.0.scheme().starts_with("postgres")
    }

    /// Host and port.
    pub fn host(&self) -> (String, u16) {
        let port = if self.is_postgres() { 5_432 } else { 3_306 };
        (self.0.host_str().expect("it names a host").to_owned(), self.0.port().unwrap_or(port))
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
}
