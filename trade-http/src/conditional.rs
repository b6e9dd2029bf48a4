//! Entity tags, and the conditions on them (RFC 9110 §8.8.3, §13.1).

use crate::input::Input;
use axum::http::{HeaderMap, HeaderName, header};
use trade_core::command::Precondition;
use trade_core::resource::Version;

/// The entity tag of a version.
pub(crate) fn etag(version: Version) -> String {
    format!("\"{version}\"")
}

/// What does not exist, among versions.
const ABSENT: Version = 0;

/// `If-Match` and `If-None-Match` on a change, or on what makes something new: the versions that it may find.
///
/// Whether a tag is weak says how its bytes were coded on their way (a proxy that compresses makes it weak), not which
/// version it names: a version is exact, so both kinds name it. A tag that is none of ours names no version.
pub(crate) fn precondition(input: &Input<'_>) -> Precondition {
    let condition = |name: &HeaderName, shown: &str| match Condition::of(&input.call.headers, name) {
        Ok(condition) => condition,
        Err(Malformed) => input
            .faults
            .add(shown, "must be * or entity tags of versions, quoted, such as \"3\" or \"3\", \"4\""),
    };
    let wanted = condition(&header::IF_MATCH, "If-Match");
    let unwanted = condition(&header::IF_NONE_MATCH, "If-None-Match");
    // Any version is every one but that of what does not exist.
    match (wanted, unwanted) {
        (None, None) => Precondition::None,
        (None, Some(Condition::Versions(unwanted))) => Precondition::NoneOf(unwanted),
        (None, Some(Condition::Any)) => Precondition::OneOf(vec![ABSENT]),
        (Some(_), Some(Condition::Any)) => Precondition::OneOf(Vec::new()),
        (Some(Condition::Any), None) => Precondition::NoneOf(vec![ABSENT]),
        (Some(Condition::Any), Some(Condition::Versions(mut unwanted))) => {
            unwanted.push(ABSENT);
            Precondition::NoneOf(unwanted)
        }
        (Some(Condition::Versions(wanted)), None) => Precondition::OneOf(wanted),
        (Some(Condition::Versions(mut wanted)), Some(Condition::Versions(unwanted))) => {
            wanted.retain(|version| !unwanted.contains(version));
            Precondition::OneOf(wanted)
        }
    }
}

/// `If-None-Match` on a read: whether the client has this version already. A malformed one knows none, and is answered
/// in full.
pub(crate) fn is_known(headers: &HeaderMap, version: Version) -> bool {
    match Condition::of(headers, &header::IF_NONE_MATCH) {
        Err(Malformed) | Ok(None) => false,
        Ok(Some(Condition::Any)) => true,
        Ok(Some(Condition::Versions(versions))) => versions.contains(&version),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Any,
    Versions(Vec<Version>),
}

/// A header that is neither `*` nor a list of entity tags.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

impl Condition {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Malformed> {
        let mut lines = headers.get_all(name).iter().map(|line| line.to_str().map_err(|_| Malformed));
        let Some(first) = lines.next() else { return Ok(None) };
        let mut list = first?.to_owned();
        for line in lines {
            // Several lines are one list (RFC 9110 §5.3).
            list = format!("{list},{}", line?);
        }
        if list.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        versions(&list).map(|versions| Some(Self::Versions(versions)))
    }
}

/// The versions that a list of entity tags names.
fn versions(list: &str) -> Result<Vec<Version>, Malformed> {
    const SPACE: [char; 2] = [' ', '\t'];
    let (mut versions, mut rest) = (Vec::new(), list.trim_matches(SPACE));
    loop {
        let opened = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"').ok_or(Malformed)?;
        let (tag, after) = opened.split_once('"').ok_or(Malformed)?;
        let is_tag_of = |version: &Version| *version != ABSENT && version.to_string() == tag;
        versions.extend(tag.parse().ok().filter(is_tag_of));
        let after = after.trim_start_matches(SPACE);
        if after.is_empty() {
            return Ok(versions);
        }
        // Empty elements of a list count for nothing (RFC 9110 §5.6.1.2).
        rest = after.strip_prefix(',').ok_or(Malformed)?.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(versions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    fn condition(values: &[&str]) -> Result<Option<Condition>, Malformed> {
        Condition::of(&headers(header::IF_MATCH, values), &header::IF_MATCH)
    }

    #[test]
    fn a_condition_names_versions_however_they_are_coded() {
        for (values, named) in [
            (&["\"3\""][..], &[3][..]),
            (&["W/\"3\""], &[3]),
            (&["\"3\", W/\"4\" ,\"5\"", "\"x,y\",\"6\""], &[3, 4, 5, 6]),
            (&["\"3\",, \"4\","], &[3, 4]),
            (&["\"03\", \"+3\", \"\", \"0\""], &[]),
        ] {
            assert_eq!(condition(values), Ok(Some(Condition::Versions(named.to_vec()))), "{values:?}");
        }
        assert_eq!(condition(&[" * "]), Ok(Some(Condition::Any)));
        assert_eq!(condition(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_list_of_tags_is_malformed() {
        for bad in
            ["", "3", "W/3", "\"3", "3\"", "\"3\" \"4\"", "*, \"3\"", "\"3\", *", "w/\"3\"", ",", "\"3\"x"]
        {
            assert_eq!(condition(&[bad]), Err(Malformed), "{bad}");
        }
        assert_eq!(condition(&["*", "*"]), Err(Malformed));
    }

    #[test]
    fn a_version_is_known_by_any_of_its_tags() {
        for (value, known) in [
            ("\"3\"", true),
            ("W/\"3\"", true),
            ("\"2\", \"3\"", true),
            ("*", true),
            ("\"2\"", false),
            ("3", false),
        ] {
            assert_eq!(is_known(&headers(header::IF_NONE_MATCH, &[value]), 3), known, "{value}");
        }
    }
}
