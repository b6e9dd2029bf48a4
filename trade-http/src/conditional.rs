//! Entity tags, and the conditions on them (RFC 9110 §8.8.3, §13.1).

use axum::http::{HeaderMap, HeaderName, header};
use trade_core::command::Precondition;
use trade_core::resource::Version;

/// The entity tag of a version.
pub(crate) fn etag(version: Version) -> String {
    format!("\"{version}\"")
}

/// `If-Match`: the versions that a change may find. What is no tag of ours matches nothing.
pub(crate) fn if_match(headers: &HeaderMap) -> Precondition {
    match Condition::of(headers, &header::IF_MATCH) {
        // Any version of what exists; and what does not exist is not found before this is looked at.
        None | Some(Condition::Any) => Precondition::None,
        Some(Condition::Tags(tags)) => {
            let strong = tags.into_iter().filter(|tag| !tag.weak);
            Precondition::OneOf(strong.filter_map(Tag::version).collect())
        }
    }
}

/// `If-None-Match`: whether the client has this version already.
pub(crate) fn is_known(headers: &HeaderMap, version: Version) -> bool {
    match Condition::of(headers, &header::IF_NONE_MATCH) {
        None => false,
        Some(Condition::Any) => true,
        Some(Condition::Tags(tags)) => tags.into_iter().any(|tag| tag.version() == Some(version)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Any,
    Tags(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    text: String,
}

impl Tag {
    /// The version it stands for, if it is a tag of ours.
    fn version(self) -> Option<Version> {
        self.text.parse().ok().filter(|version: &Version| version.to_string() == self.text)
    }
}

impl Condition {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        if !headers.contains_key(name) {
            return None;
        }
        let mut tags = Vec::new();
        for line in headers.get_all(name) {
            let line = line.to_str().unwrap_or_default().trim();
            if line == "*" {
                return Some(Self::Any);
            }
            tags.extend(parse(line));
        }
        Some(Self::Tags(tags))
    }
}

/// The tags of a list, up to what is not one.
fn parse(mut rest: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let weak = rest.starts_with("W/");
        let opened = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"');
        let Some((text, after)) = opened.and_then(|opened| opened.split_once('"')) else { return tags };
        tags.push(Tag { weak, text: text.into() });
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn if_match_compares_strongly() {
        for (values, expected) in [
            (&["\"3\""][..], Precondition::OneOf(vec![3])),
            (&["\"3\", W/\"4\" ,\"5\"", "\"x,y\",\"6\""], Precondition::OneOf(vec![3, 5, 6])),
            (&["*"], Precondition::None),
            (&["3"], Precondition::OneOf(vec![])),
            (&["\"03\", \"+3\", \"3"], Precondition::OneOf(vec![])),
        ] {
            assert_eq!(if_match(&headers(header::IF_MATCH, values)), expected, "{values:?}");
        }
        assert_eq!(if_match(&HeaderMap::new()), Precondition::None);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, known) in
            [("\"3\"", true), ("W/\"3\"", true), ("\"2\", \"3\"", true), ("*", true), ("\"2\"", false)]
        {
            assert_eq!(is_known(&headers(header::IF_NONE_MATCH, &[value]), 3), known, "{value}");
        }
    }
}
