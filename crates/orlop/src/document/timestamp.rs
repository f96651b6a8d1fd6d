//! Instants, to the millisecond: BSON dates.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use bson::Bson;
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// An instant in UTC, in milliseconds since 1970. Stored as a BSON date; written as RFC 3339 with
/// milliseconds (`2023-06-15T12:00:00.000Z`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest that can be stored.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest that can be stored.
    pub const MAX: Self = Self(i64::MAX);

    /// The wall clock. The one place of this crate that reads it.
    pub fn now() -> Self {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => {
                let before = i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX);
                Self(-before)
            }
        }
    }

    /// The instant so many milliseconds after 1970 began, UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 began, UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Later by `duration`, at most [`Timestamp::MAX`]. Parts of a millisecond are cut off.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// Earlier by `duration`, at least [`Timestamp::MIN`]. Parts of a millisecond are cut off.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds; plain milliseconds outside the years -9999 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;
    /// Reads RFC 3339 with any offset; parts of a millisecond are cut off.
    fn from_str(text: &str) -> Result<Self> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self(instant.as_millisecond()))
            .map_err(|_| Error::invalid("an instant such as 2023-06-15T12:00:00.000Z was expected"))
    }
}

impl From<bson::DateTime> for Timestamp {
    fn from(date: bson::DateTime) -> Self {
        Self(date.timestamp_millis())
    }
}

impl From<Timestamp> for bson::DateTime {
    fn from(instant: Timestamp) -> Self {
        bson::DateTime::from_millis(instant.0)
    }
}

impl From<Timestamp> for Bson {
    fn from(instant: Timestamp) -> Self {
        Bson::DateTime(instant.into())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bson::DateTime::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Reads a BSON date, its Extended JSON, and (from text formats only) RFC 3339.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Instant;
        impl<'de> Visitor<'de> for Instant {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date, or an instant in RFC 3339")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Timestamp, A::Error> {
                bson::DateTime::deserialize(MapAccessDeserializer::new(map)).map(Timestamp::from)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Instant)
        } else {
            bson::DateTime::deserialize(deserializer).map(Self::from)
        }
    }
}
