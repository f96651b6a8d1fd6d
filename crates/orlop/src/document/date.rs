//! Civil dates: a day of the calendar, in no time zone.

use std::fmt;
use std::str::FromStr;

use bson::Bson;
use jiff::civil;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;
use crate::{Error, Result};

/// A day of the calendar, years 0 to 9999. Stored as the string `YYYY-MM-DD`, which sorts and
/// indexes in the order of days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(civil::Date);

impl Date {
    /// The day `day` (1 to 31) of `month` (1 to 12) of `year` (0 to 9999).
    ///
    /// # Errors
    /// `Invalid` when the calendar has no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Result<Self> {
        if year < 0 {
            // A sign would break the order of the stored strings.
            return Err(Error::invalid(format!("year {year} is before 0")));
        }
        civil::Date::new(year, month, day)
            .map(Self)
            .map_err(|_| Error::invalid(format!("{year}-{month}-{day} is not a day")))
    }

    /// Year, month (1 to 12), day of the month (1 to 31).
    pub fn parts(self) -> (i16, i8, i8) {
        (self.0.year(), self.0.month(), self.0.day())
    }

    /// The day that `instant` falls on in `zone`, an IANA name such as `Europe/Zurich`.
    ///
    /// # Errors
    /// `Invalid` when the zone is unknown or the instant outside the years 0 to 9999.
    pub fn of(instant: Timestamp, zone: &str) -> Result<Self> {
        let zone = self::zone(zone)?;
        let date = jiff::Timestamp::from_millisecond(instant.millis())
            .map_err(|_| Error::invalid("the instant is outside the years 0 to 9999"))?
            .to_zoned_datetime(zone)
            .date();
        Self::new(date.year(), date.month(), date.day())
    }

    /// The first instant of this day in `zone`, and the first of the next: a half-open range.
    ///
    /// A day on which clocks change has 23 or 25 hours; one whose midnight does not exist begins
    /// at the first instant after the gap.
    ///
    /// # Errors
    /// `Invalid` when the zone is unknown or the range leaves the years 0 to 9999.
    pub fn bounds(self, zone: &str) -> Result<(Timestamp, Timestamp)> {
        let zone = self::zone(zone)?;
        let outside = |_| Error::invalid(format!("{self} has no end in the years 0 to 9999"));
        let start = |date: civil::Date| {
            date.to_zoned_datetime(zone.clone())
                .and_then(|zoned| zoned.start_of_day())
                .map(|zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond()))
                .map_err(outside)
        };
        Ok((start(self.0)?, start(self.0.tomorrow().map_err(outside)?)?))
    }
}

fn zone(name: &str) -> Result<jiff::tz::TimeZone> {
    jiff::tz::TimeZone::get(name)
        .map_err(|_| Error::invalid(format!("time zone {name:?} is unknown")))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Date {
    type Err = Error;
    /// Reads `YYYY-MM-DD` and nothing else.
    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::invalid("a date such as 2023-06-15 was expected");
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return Err(refused());
        }
        let number = |from, to| text.get(from..to).and_then(|part| part.parse::<i16>().ok());
        let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10))
        else {
            return Err(refused());
        };
        Self::new(year, month as i8, day as i8).map_err(|_| refused())
    }
}

impl From<Date> for Bson {
    fn from(date: Date) -> Self {
        Bson::String(date.to_string())
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Day;
        impl serde::de::Visitor<'_> for Day {
            type Value = Date;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date such as 2023-06-15")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Date, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Day)
    }
}
