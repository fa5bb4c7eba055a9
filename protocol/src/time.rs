//! Wall-clock time as it travels and is stored.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A UTC instant in microseconds since the Unix epoch.
///
/// Written as RFC 3339 text in human-readable formats and as an integer in binary ones; either
/// form is read back from both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// Reads the system clock. Only the edges of the program (`main`, request handlers, engines'
    /// loops) call this; everything else takes the time as a parameter.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// From microseconds since the Unix epoch, clamped to the years −9999 to 9999.
    pub fn from_micros(micros: i64) -> Self {
        // To whole seconds: of its last one jiff takes no more than the beginning when it is given in
        // microseconds.
        let [first, last] =
            [jiff::Timestamp::MIN, jiff::Timestamp::MAX].map(|end| end.as_second() * 1_000_000);
        Self(micros.clamp(first, last))
    }

    /// Microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// The same instant as jiff's type, for calendar arithmetic and time zones.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// How long after `earlier` this is; zero when the clock stepped backwards.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant plus `span`, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This instant minus `span`, saturating.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Whole hours since the Unix epoch: the key of hourly counters.
    pub fn hour(self) -> i64 {
        self.0.div_euclid(3_600_000_000)
    }

    /// The UTC calendar day, as `2026-11-21`: the name of a prediction file.
    pub fn day(self) -> String {
        self.timestamp().strftime("%Y-%m-%d").to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from_micros(text.parse::<jiff::Timestamp>()?.as_microsecond()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl Visitor<'_> for EitherForm {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or microseconds since 1970")
            }
            fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Time, E> {
                Ok(Time::from_micros(micros))
            }
            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Time, E> {
                Ok(Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        // Not by `is_human_readable`: inside an internally tagged enum serde answers from a buffer
        // that always claims to be human readable.
        deserializer.deserialize_any(EitherForm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        let time: Time = "2026-11-21T05:48:14.000123Z".parse().expect("valid time");
        let json = serde_json::to_string(&time).expect("json");
        assert_eq!(json, "\"2026-11-21T05:48:14.000123Z\"");
        assert_eq!(serde_json::from_str::<Time>(&json).expect("back"), time);
        let packed = rmp_serde::to_vec(&time).expect("msgpack");
        assert_eq!(rmp_serde::from_slice::<Time>(&packed).expect("back"), time);
        assert_eq!(time.day(), "2026-11-21");
    }

    #[test]
    fn survives_absurd_values() {
        for (micros, day) in [(i64::MIN, "-9999-01-02"), (i64::MAX, "9999-12-30")] {
            let time = Time::from_micros(micros);
            assert_eq!(time.day(), day);
            assert_eq!(time.to_string().parse::<Time>().expect("its own text"), time);
            assert_eq!(time.plus(Duration::MAX).minus(Duration::MAX).hour().signum(), -1);
        }
    }
}
