//! Stretches of time over which a zone's clocks are not changed.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A stretch of time over which the clocks of a zone keep the same offset from UTC.
/// Instants are whole seconds since 1970-01-01T00:00:00Z, offsets are seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub offset: i64,
    /// How the stretch began; `None` if it always was.
    pub start: Option<Change>,
    /// How it will end; `None` if it never does.
    pub end: Option<Change>,
}

/// A change of clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// The first instant at which clocks show the new time.
    pub at: i64,
    /// The offset on the far side of the change, seen from the stretch it belongs to.
    pub offset: i64,
}

/// Changes of name or of law that leave the clocks alone are passed over, up to so many
/// in a row; after that the stretch is cut there, which is as true.
const CHANGES_PASSED_OVER: usize = 64;

impl Span {
    /// The stretch around `instant`; `None` outside the years that times can have.
    pub fn around(zone: &TimeZone, instant: i64) -> Option<Self> {
        let at = Timestamp::from_second(instant).ok()?;
        let offset = i64::from(zone.to_offset(at).seconds());
        let mut span = Self { offset, start: None, end: None };
        for next in zone.following(at).take(CHANGES_PASSED_OVER) {
            let change = Change {
                at: next.timestamp().as_second(),
                offset: i64::from(next.offset().seconds()),
            };
            span.end = Some(change);
            if change.offset != offset {
                break;
            }
        }
        let Ok(later) = Timestamp::from_second(instant + 1) else { return Some(span) };
        for previous in zone.preceding(later).take(CHANGES_PASSED_OVER) {
            let at = previous.timestamp();
            let Ok(before) = Timestamp::from_second(at.as_second() - 1) else { break };
            let change =
                Change { at: at.as_second(), offset: i64::from(zone.to_offset(before).seconds()) };
            span.start = Some(change);
            if change.offset != offset {
                break;
            }
        }
        Some(span)
    }

    /// The stretch around `instant`: `cache` if it is that, and else it is put there.
    pub fn cached<'c>(
        zone: &TimeZone,
        instant: i64,
        cache: &'c mut Option<Self>,
    ) -> Option<&'c Self> {
        if !cache.is_some_and(|span| span.contains(instant)) {
            *cache = Some(Self::around(zone, instant)?);
        }
        cache.as_ref()
    }

    fn contains(&self, instant: i64) -> bool {
        self.start.is_none_or(|start| start.at <= instant)
            && self.end.is_none_or(|end| instant < end.at)
    }
}
