//! How long to wait before asking a server again.

use std::time::{Duration, SystemTime};

/// The pause after the first failure, before the jitter.
const FIRST: Duration = Duration::from_millis(500);

/// The pause after the `failures`-th failure in a row (from 1): doubles each time, never longer than
/// `most`. Half of it is drawn (`luck`, 0–1), so that many agents whose server failed do not come
/// back together. What the server asked for is waited out, up to `most`.
pub(super) fn pause(failures: u32, retry_after: Option<Duration>, most: Duration, luck: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most);
    let drawn = doubled.mul_f64(0.5 + 0.5 * luck.clamp(0.0, 1.0));
    match retry_after {
        Some(asked) => asked.max(drawn).min(most),
        None => drawn,
    }
}

/// What `Retry-After` says: seconds, or a date.
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // RFC 9110 5.6.7: the date is in GMT, in the form that RFC 2822 has too.
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let at = SystemTime::from(date.timestamp());
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: Duration = Duration::from_secs(120);

    #[test]
    fn pauses_double_and_servers_are_heard() {
        let ms = Duration::from_millis;
        for (failures, asked, luck, expected) in [
            (1, None, 0.0, ms(250)),
            (1, None, 1.0, ms(500)),
            (2, None, 1.0, ms(1_000)),
            (5, None, 1.0, ms(8_000)),
            (30, None, 1.0, MOST),
            (1, Some(ms(7_000)), 0.0, ms(7_000)),
            (1, Some(ms(0)), 1.0, ms(500)),
            (1, Some(Duration::MAX), 0.0, MOST),
        ] {
            assert_eq!(pause(failures, asked, MOST, luck), expected, "{failures} {asked:?}");
        }
    }

    #[test]
    fn seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let s = |s| Some(Duration::from_secs(s));
        for (text, expected) in [
            ("7", s(7)),
            (" 0 ", s(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", s(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", s(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_longer_than_the_most(failures: u32, asked: Option<u64>, luck in 0.0..1.0f64) {
            let asked = asked.map(Duration::from_millis);
            prop_assert!(pause(failures, asked, MOST, luck) <= MOST);
        }

        #[test]
        fn headers_of_any_kind_do_no_harm(text: String) {
            let _ = retry_after(&text, SystemTime::UNIX_EPOCH);
        }
    }
}
