//! Figures as people read them: coarse, with their units.

use std::time::Duration;

use vigie_protocol::Time;

/// How long ago `then` was: `3 min ago`. A time in the future (clocks differ) is `just now`.
pub fn age(now: Time, then: Time) -> String {
    let seconds = now.since(then).as_secs();
    if seconds < 5 { "just now".to_owned() } else { format!("{} ago", coarse(seconds)) }
}

/// One unit is enough to tell how old something is.
fn coarse(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A moment to the second, in UTC, with its age: `2026-11-21 05:48:14 UTC (3 min ago)`.
pub fn when(now: Time, then: Time) -> String {
    format!("{} UTC ({})", then.timestamp().strftime("%Y-%m-%d %H:%M:%S"), age(now, then))
}

/// A span with two units: `420 ms`, `8.2 s`, `1 min 05 s`, `2 h 03 min`.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", span.as_secs_f64().min(59.9)),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Seconds until something ends, as a guess deserves: `8 s`, `3 min`.
pub fn eta(seconds: f32) -> String {
    // A guess may be absurd or NaN; the saturating cast turns those into a bounded figure.
    coarse(seconds.ceil().max(0.0) as u64)
}

/// Bytes in binary units: `512 B`, `1.4 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with its thousands apart: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A change: `+1,234`, `-2`, and nothing at all for none.
pub fn signed(sign: char, n: u64) -> String {
    if n == 0 { String::new() } else { format!("{sign}{}", count(n)) }
}

/// A share of one: `87.3 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Microseconds as milliseconds: `12.3 ms`.
pub fn micros(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        let now = Time::from_micros(1_000_000_000_000_000);
        for (seconds, shown) in [
            (0, "just now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (7_199, "1 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(age(now, now.minus(Duration::from_secs(seconds))), shown);
        }
        assert_eq!(age(now, now.plus(Duration::from_secs(60))), "just now");
        for (millis, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (8_240, "8.2 s"),
            (59_999, "59.9 s"),
            (65_000, "1 min 05 s"),
            (7_380_000, "2 h 03 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
        for (n, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_500_000, "1.4 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(bytes(n), shown);
        }
        for (n, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), shown);
        }
        assert_eq!(percent(0.8734), "87.3 %");
        assert_eq!(micros(12_345), "12.3 ms");
        assert_eq!(eta(f32::NAN), "0 s");
        assert_eq!(eta(7.2), "8 s");
        assert_eq!((signed('+', 1_234), signed('-', 0)), ("+1,234".to_owned(), String::new()));
    }
}
