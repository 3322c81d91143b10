//! How much of its volume a store may take, and what the volume has.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::statvfs;

use super::directory::DATA_FILE;

/// The least that a store can do with, in bytes: its reserves, and room to work.
const LEAST_BYTES: u64 = 64 * MIB;
const MIB: u64 = 1024 * 1024;

/// How much a store may take before it refuses new events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// So many hundredths of its volume; and where others have taken so much of that that it
    /// is not there, nine tenths of what is left.
    Share(u8),
    /// So many bytes.
    Bytes(u64),
}

impl Default for Quota {
    /// Half of the volume.
    fn default() -> Self {
        Self::Share(50)
    }
}

/// What a quota comes to on a volume, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Where the volume is mounted.
    pub volume: PathBuf,
    /// How large it is.
    pub size: u64,
    /// How much of it is free, for this user.
    pub free: u64,
    /// What the store has taken of it.
    pub taken: u64,
    /// What the store may take.
    pub quota: u64,
}

/// The quota cannot be.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// It is more than there is at all.
    #[error("the quota of {} is more than the volume {} has, {}: say less, or a share of it such as 50%", size(*quota), volume.display(), size(*found))]
    TooLarge {
        /// The quota.
        quota: u64,
        /// Where the volume is mounted.
        volume: PathBuf,
        /// How large it is.
        found: u64,
    },
    /// It is less than a store can do with.
    #[error("a quota of {} is too small: a store needs {} at least", size(*.0), size(LEAST_BYTES))]
    TooSmall(u64),
    /// The volume cannot be looked at.
    #[error("the volume of {} cannot be looked at: {source}", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl Quota {
    /// What it comes to for a store in the directory `path`, which need not be there yet.
    ///
    /// # Errors
    ///
    /// When bytes were asked for that the volume does not have or that are too few, or when
    /// it cannot be looked at.
    pub fn of(self, path: &Path) -> Result<Allowance, QuotaError> {
        let (volume, size, free) =
            look(path).map_err(|source| QuotaError::Io { path: path.to_owned(), source })?;
        let taken = allocated(path);
        let quota = match self {
            Self::Bytes(quota) if quota > size => {
                return Err(QuotaError::TooLarge { quota, volume, found: size });
            }
            Self::Bytes(quota) if quota < LEAST_BYTES => return Err(QuotaError::TooSmall(quota)),
            Self::Bytes(quota) => quota,
            Self::Share(hundredths) => share(size, hundredths).min(taken + free / 10 * 9),
        };
        Ok(Allowance { volume, size, free, taken, quota })
    }
}

impl Allowance {
    /// Why the store will be full before its quota is reached, or cannot work at all; none where
    /// all is well.
    pub fn shortage(&self) -> Option<String> {
        let reachable = self.taken + self.free;
        if reachable < LEAST_BYTES {
            return Some(format!(
                "{} are free, and a store needs {} at least: new events will be refused until there is more room",
                size(self.free),
                size(LEAST_BYTES)
            ));
        }
        (self.quota > reachable).then(|| {
            format!(
                "the quota of {} cannot be reached: with what is free the store comes to {}, and refuses new events then; make room, or say a smaller one",
                size(self.quota),
                size(reachable)
            )
        })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { volume, size: of, free, taken, quota } = self;
        write!(
            f,
            "the store may take {} of the volume {}, which has {} and {} free; it has taken {}",
            size(*quota),
            volume.display(),
            size(*of),
            size(*free),
            size(*taken)
        )
    }
}

impl FromStr for Quota {
    type Err = String;

    /// Reads `50%`, `20GiB`, `500MiB`, or a number of bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no quota: expected one such as 50%, 20GiB or 500MiB");
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let factor = match &text[digits.len()..] {
            "%" => {
                let hundredths = u8::try_from(number).map_err(|_| wrong())?;
                let is_share = (1..=95).contains(&hundredths);
                return if is_share { Ok(Self::Share(hundredths)) } else { Err(wrong()) };
            }
            "" | "B" => 1,
            "MiB" | "Mi" => MIB,
            "GiB" | "Gi" => MIB << 10,
            "TiB" | "Ti" => MIB << 20,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self::Bytes).ok_or_else(wrong)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(hundredths) => write!(f, "{hundredths}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

/// How much of the disk the store's file has, whatever is in it.
pub(super) fn allocated(directory: &Path) -> u64 {
    std::fs::metadata(directory.join(DATA_FILE)).map_or(0, |file| file.blocks() * 512)
}

/// How much of the volume that `path` is on is free for this user, in bytes.
pub(super) fn free(path: &Path) -> std::io::Result<u64> {
    let found = statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Where the volume is mounted that `path` is on or will be on, its size, and what is free.
fn look(path: &Path) -> std::io::Result<(PathBuf, u64, u64)> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(&path).canonicalize()?;
    let device = there.metadata()?.dev();
    let on_it = |path: &&Path| path.metadata().is_ok_and(|found| found.dev() == device);
    let volume = there.ancestors().take_while(on_it).last().unwrap_or(&there).to_owned();
    let found = statvfs(&there)?;
    Ok((volume, found.f_blocks.saturating_mul(found.f_frsize), free(&there)?))
}

fn share(of: u64, hundredths: u8) -> u64 {
    of / 100 * u64::from(hundredths)
}

/// A size as people say it.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20)];
    let unit = units.into_iter().find(|(_, shift)| bytes >> shift > 0);
    let Some((unit, shift)) = unit else { return format!("{bytes} bytes") };
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let value = bytes as f64 / (1_u64 << shift) as f64;
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_share_or_a_size() {
        for (text, expected) in [
            ("50%", Some(Quota::Share(50))),
            ("1%", Some(Quota::Share(1))),
            ("20GiB", Some(Quota::Bytes(20 << 30))),
            ("20Gi", Some(Quota::Bytes(20 << 30))),
            ("500MiB", Some(Quota::Bytes(500 << 20))),
            ("1TiB", Some(Quota::Bytes(1 << 40))),
            ("134217728", Some(Quota::Bytes(128 << 20))),
            ("0%", None),
            ("96%", None),
            ("300%", None),
            ("20GB", None),
            ("GiB", None),
            ("", None),
            ("-1", None),
            ("1.5GiB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(text.parse::<Quota>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_share_is_one_of_the_volume_and_never_more_than_nine_tenths_of_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        // The directory need not be there yet.
        let path = dir.path().join("not/yet");
        let found = Quota::Share(1).of(&path).unwrap();
        assert!(found.size > 0 && found.free <= found.size && found.taken == 0, "{found:?}");
        assert!(dir.path().canonicalize().unwrap().starts_with(&found.volume), "{found:?}");
        assert_eq!(found.quota, (found.size / 100).min(found.free / 10 * 9));
        let most = Quota::Share(95).of(&path).unwrap();
        assert!(most.quota <= most.free / 10 * 9 + MIB, "{most:?}");
        assert_eq!(most.shortage(), None);
    }

    #[test]
    fn bytes_that_the_volume_does_not_have_are_refused_and_those_that_are_not_free_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let size = Quota::default().of(dir.path()).unwrap().size;
        let refused = |quota| Quota::Bytes(quota).of(dir.path()).unwrap_err().to_string();
        assert!(refused(size + 1).contains("is more than the volume"), "{}", refused(size + 1));
        assert!(refused(MIB).contains("1.0 MiB is too small: a store needs 64.0 MiB"));
        let allowance = |quota, free, taken| Allowance {
            volume: "/data".into(),
            size: 100 << 30,
            free,
            taken,
            quota,
        };
        for (quota, free, taken, told) in [
            (10 << 30, 9 << 30, 1 << 30, None),
            (
                10 << 30,
                8 << 30,
                1 << 30,
                Some("cannot be reached: with what is free the store comes to 9.0 GiB"),
            ),
            (10 << 30, 10 << 20, 0, Some("10.0 MiB are free, and a store needs 64.0 MiB")),
        ] {
            let found = allowance(quota, free, taken).shortage();
            assert_eq!(found.is_some(), told.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(told.unwrap_or_default()));
        }
        assert_eq!(
            allowance(50 << 30, 80 << 30, 3 << 20).to_string(),
            "the store may take 50.0 GiB of the volume /data, which has 100.0 GiB and 80.0 GiB free; it has taken 3.0 MiB"
        );
    }
}
