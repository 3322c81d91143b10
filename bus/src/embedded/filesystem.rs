//! Which file systems a data directory may be on.
//!
//! The store maps its file into memory and locks it. On a network file system neither can
//! be relied on: two daemons may both hold the lock, and a page may change under a reader.

use std::path::Path;

/// The `f_type` of file systems whose files are on another machine or behind another
/// process, from Linux's `magic.h` and the sources of those outside the kernel.
#[cfg(target_os = "linux")]
const NETWORK_FILE_SYSTEMS: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0000_564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x1983_0326, "BeeGFS"),
    (0xaad7_aaea, "PanFS"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0xbacb_acbc, "VMware shared folder"),
];

/// The name of the network file system that `path` is on; `None` on any other one.
#[cfg(target_os = "linux")]
pub(super) fn network_file_system(path: &Path) -> std::io::Result<Option<&'static str>> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it has 32 bits")]
    let kind = rustix::fs::statfs(path)?.f_type as u32;
    Ok(name_of(kind))
}

/// Elsewhere it is not known.
#[cfg(not(target_os = "linux"))]
pub(super) fn network_file_system(_path: &Path) -> std::io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn name_of(kind: u32) -> Option<&'static str> {
    NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_known_by_its_magic_number() {
        for (magic, name) in [
            (0x6969, Some("NFS")),
            (0xff53_4d42, Some("CIFS")),
            (0x6573_5546, Some("FUSE")),
            (0xef53, None),      // ext4
            (0x5846_5342, None), // XFS
            (0x9123_683e, None), // Btrfs
            (0x0102_1994, None), // tmpfs
            (0x794c_7630, None), // overlayfs
        ] {
            assert_eq!(name_of(magic), name, "{magic:x}");
        }
    }

    #[test]
    fn proc_is_no_network_file_system() {
        assert_eq!(network_file_system(Path::new("/proc")).unwrap(), None);
    }
}
