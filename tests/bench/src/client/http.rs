//! The heads of HTTP answers.

/// The length of the head of an HTTP answer with its empty line, once it is there as a whole.
pub(super) fn head_length(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The status and, where it is told, the length of the body of an answer.
pub(super) fn head(bytes: &[u8]) -> Option<(u16, Option<usize>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, length))
}
