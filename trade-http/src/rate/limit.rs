//! How much a caller may ask for.

use governor::Quota;
use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// How many requests each caller may send: so many a second, and more of them at once after a while without any. By default
/// 200 a second, and 400 at once.
///
/// ```
/// use trade_http::{HttpOptions, RateLimit};
///
/// # fn main() -> Result<(), trade_http::InvalidRateLimit> {
/// let rate_limit: RateLimit = "50/100".parse()?;
/// let options = HttpOptions { rate_limit: Some(rate_limit), ..HttpOptions::default() };
/// # drop(options);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl RateLimit {
    /// The most that can be told apart from no limit.
    const MAX: u32 = 1_000_000;

    /// So many requests a second, and so many at once.
    ///
    /// # Errors
    /// If either is 0 or more than 1 000 000.
    pub fn new(per_second: u32, burst: u32) -> Result<Self, InvalidRateLimit> {
        let number = |n: u32| NonZeroU32::new(n).filter(|n| n.get() <= Self::MAX).ok_or(InvalidRateLimit);
        Ok(Self { per_second: number(per_second)?, burst: number(burst)? })
    }

    pub(super) fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        let number = |n: u32| NonZeroU32::MIN.saturating_add(n - 1);
        Self { per_second: number(200), burst: number(400) }
    }
}

/// Reads `N` or `N/BURST`; without a burst it is twice the number a second.
impl FromStr for RateLimit {
    type Err = InvalidRateLimit;

    fn from_str(text: &str) -> Result<Self, InvalidRateLimit> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(InvalidRateLimit)
        };
        match text.split_once('/') {
            Some((per_second, burst)) => Self::new(number(per_second)?, number(burst)?),
            None => {
                let per_second: u32 = number(text)?;
                Self::new(per_second, per_second.saturating_mul(2).min(Self::MAX))
            }
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// What is no rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRateLimit;

impl fmt::Display for InvalidRateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be N or N/BURST, each from 1 to 1000000: so many requests a second, and so many at once",
        )
    }
}

impl Error for InvalidRateLimit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_and_anything_else_is_not() {
        assert_eq!("200/400".parse(), Ok(RateLimit::default()));
        assert_eq!("200".parse(), Ok(RateLimit::default()));
        assert_eq!(RateLimit::default().to_string(), "200/400");
        assert_eq!("1000000".parse(), RateLimit::new(1_000_000, 1_000_000));
        for wrong in ["", "0", "5/0", "/5", "5/", "-1", "+5", "5/6/7", "1e3", "1000001", "99999999999", "off"]
        {
            assert_eq!(wrong.parse::<RateLimit>(), Err(InvalidRateLimit), "{wrong}");
        }
    }
}
