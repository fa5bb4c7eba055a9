//! Values as people type them.

use std::time::Duration;

use vigie_protocol::Time;

/// A span: `90s`, `15m`, `2h`, `7d`, `500ms`.
pub fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("{text:?} is not a time such as 90s, 15m, 2h or 7d")),
    };
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
    total
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not a time such as 90s, 15m, 2h or 7d"))
}

/// A moment: so long ago (`2h`), or in RFC 3339 (`2026-11-21T05:00:00Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before now.
    Ago(Duration),
    /// Itself.
    At(Time),
}

impl Moment {
    /// The moment, seen from `now`.
    pub fn from(self, now: Time) -> Time {
        match self {
            Moment::Ago(span) => now.minus(span),
            Moment::At(time) => time,
        }
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = span(text) {
            return Ok(Moment::Ago(span));
        }
        text.parse().map(Moment::At).map_err(|_| {
            format!("{text:?} is neither a span such as 2h nor a time such as 2026-11-21T05:00:00Z")
        })
    }
}

/// A share of one: `0.8` or `80%`.
pub fn share(text: &str) -> Result<f32, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f32>().map(|percent| percent / 100.0),
        None => text.parse::<f32>(),
    };
    value
        .ok()
        .filter(|value| (0.0..=1.0).contains(value))
        .ok_or_else(|| format!("{text:?} is not a share such as 0.8 or 80%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, millis) in [("90s", 90_000), ("15m", 900_000), ("2h", 7_200_000), ("500ms", 500)] {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)));
        }
        for text in ["", "s", "5", "2 h", "-1s", "1y", "99999999999999999999s", "9999999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_and_shares() {
        let now: Time = "2026-11-21T05:00:00Z".parse().expect("a time");
        assert_eq!("2h".parse::<Moment>().expect("a span").from(now).to_string(), "2026-11-21T03:00:00Z");
        assert_eq!("2026-11-21T05:00:00Z".parse(), Ok(Moment::At(now)));
        assert!("yesterday".parse::<Moment>().is_err());
        assert_eq!((share("0.8"), share("80%")), (Ok(0.8), Ok(0.8)));
        assert!(share("80").is_err() && share("NaN").is_err());
    }
}
