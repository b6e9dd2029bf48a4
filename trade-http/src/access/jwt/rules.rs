use std::time::Duration;

/// What tokens must say, and where.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenRules {
    /// `iss` must be one of these; anything where there is none.
    pub issuers: Vec<String>,
    /// `aud` must have one of these; anything where there is none.
    pub audiences: Vec<String>,
    /// The claim that lists roles: an array, or words with spaces between them. A name that begins with `/` is a JSON
    /// pointer (RFC 6901), such as `/realm_access/roles`. Roles that are not known are passed by.
    pub roles_claim: String,
    /// The claim that lists stations, in the same way; `*` is all of them.
    pub stations_claim: String,
    /// By how much the issuer's clock may differ.
    pub leeway: Duration,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            roles_claim: "roles".into(),
            stations_claim: "stations".into(),
            leeway: Duration::from_secs(5),
        }
    }
}
