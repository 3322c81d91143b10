use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::*;

const CAPACITY: u64 = 16 * 1024;

struct Dir {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn dir() -> Dir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    create(&path, CAPACITY).unwrap();
    Dir { _dir: dir, path }
}

const START: Mark = Mark { journal: 7, capacity: CAPACITY, number: 0, offset: 0 };

fn journal(path: &Path, mark: Mark) -> Journal {
    Journal::new(open(path).unwrap(), mark)
}

fn frame(payload: &[u8]) -> Frame {
    let mut frame = Frame::default();
    frame.fill(|bytes| bytes.extend_from_slice(payload));
    frame
}

/// Writes a frame where it belongs.
fn write(journal: &mut Journal, payload: &[u8], settled: u64) -> Mark {
    let mut frame = frame(payload);
    let at = journal.place(frame.len(), settled).unwrap();
    journal.write(&mut frame, at).unwrap()
}

/// What is read from `mark` on, and how it ends.
fn read(path: &Path, mark: Mark) -> (Vec<Vec<u8>>, String) {
    let mut journal = journal(path, mark);
    let mut found = Vec::new();
    loop {
        match journal.next() {
            Ok(Next::Frame(payload)) => found.push(payload.to_vec()),
            Ok(end) => return (found, format!("{end:?}")),
            Err(error) => return (found, error.to_string()),
        }
    }
}

fn change_byte(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

#[test]
fn frames_are_read_back_from_any_mark_on() {
    let dir = dir();
    let mut journal = journal(&dir.path, START);
    let payloads: [&[u8]; 4] = [b"one", &[2; 479], &[3; 481], b""];
    let mut marks = vec![START];
    marks.extend(payloads.map(|payload| write(&mut journal, payload, 0)));
    assert_eq!(
        marks.iter().map(|mark| mark.offset).collect::<Vec<_>>(),
        [0, 512, 1024, 2048, 2560]
    );
    for (skipped, mark) in marks.into_iter().enumerate() {
        assert_eq!(
            read(&dir.path, mark),
            (payloads[skipped..].iter().map(|p| p.to_vec()).collect(), "End".to_owned())
        );
    }
    // Those of another journal are none.
    assert_eq!(read(&dir.path, Mark { journal: 8, ..START }), (vec![], "End".to_owned()));
}

#[test]
fn the_first_format_of_a_frame_is_this_one() {
    let dir = dir();
    write(&mut journal(&dir.path, START), b"payload", 0);
    let found = fs::read(&dir.path).unwrap();
    let header = "544c4a46 00000001 0000000000000007 0000000000000001 00000007";
    let bytes: Vec<_> = header
        .split(' ')
        .flat_map(|part| {
            (0..part.len())
                .step_by(2)
                .map(move |at| u8::from_str_radix(&part[at..at + 2], 16).unwrap())
        })
        .collect();
    assert_eq!(found[..28], bytes);
    let checksum = crc32fast::hash(&[&bytes, b"payload".as_slice()].concat());
    assert_eq!(found[28..32], checksum.to_be_bytes());
    assert_eq!(&found[32..39], b"payload");
}

#[test]
fn the_ring_goes_round_and_never_over_what_is_not_settled() {
    let dir = dir();
    let mut journal = journal(&dir.path, START);
    let mut marks = vec![START];
    // What is settled lags behind by up to five frames of two to nine sectors.
    for number in 1..200_u64 {
        let payload = vec![number as u8; 700 + (number as usize * 37 % 8) * 500];
        let settled = marks[marks.len().saturating_sub(number as usize % 5 + 1)];
        if journal.place(frame(&payload).len(), settled.offset).is_none() {
            marks = vec![*marks.last().unwrap()];
            continue;
        }
        marks.push(write(&mut journal, &payload, settled.offset));
        let (found, end) = read(&dir.path, settled);
        assert_eq!(
            (found.len() as u64, end.as_str()),
            (journal.mark().number - settled.number, "End"),
            "frame {number}"
        );
        assert_eq!(found.last(), Some(&payload));
    }
    assert!(journal.mark().number > 150, "most had room");
}

#[test]
fn a_full_ring_has_no_place_and_an_empty_one_has_for_half_of_it() {
    let dir = dir();
    let half = CAPACITY / 2;
    for head in (0..=CAPACITY).step_by(512) {
        let empty = journal(&dir.path, Mark { offset: head, ..START });
        assert!(empty.place(half, head).is_some(), "{head}");
    }
    // Head and settled, and where frames of 1024 and of 8192 bytes go.
    for (head, settled, small, large) in [
        (0, 0, Some(0), Some(0)),
        (8192, 0, Some(8192), Some(8192)),
        (15_872, 0, None, None),
        (15_872, 1024, None, None),
        (15_872, 1536, Some(0), None),
        (1024, 2048, None, None),
        (1024, 2560, Some(1024), None),
        (16_384, 16_384, Some(0), Some(0)),
    ] {
        let journal = journal(&dir.path, Mark { offset: head, ..START });
        assert_eq!(
            (journal.place(1024, settled), journal.place(8192, settled)),
            (small, large),
            "{head} {settled}"
        );
    }
}

#[test]
fn a_torn_last_frame_ends_the_reading_and_a_damaged_one_before_others_is_an_error() {
    let dir = dir();
    let mut writing = journal(&dir.path, START);
    for number in 1..=4 {
        write(&mut writing, &[number; 1000], 0);
    }
    let intact = fs::read(&dir.path).unwrap();
    // The frames stand at 0, 1536, 3072 and 4608. A change of a frame's last sector is seen, of
    // its length and its number too.
    for (at, frames, end) in [
        (4608 + 32 + 999, 3, "Torn"),
        (4608 + 27, 3, "Torn"),
        (4608 + 23, 3, "End"),
        (4608, 3, "End"),
        (3072 + 40, 2, "frame 3 cannot be read, but a newer one, 4, is there"),
        (1536, 1, "frame 2 cannot be read, but a newer one, 3, is there"),
        (0, 0, "frame 1 cannot be read, but a newer one, 2, is there"),
        // Behind the payload there is nothing.
        (4608 + 32 + 1000, 4, "End"),
    ] {
        fs::write(&dir.path, &intact).unwrap();
        change_byte(&dir.path, at);
        let (found, said) = read(&dir.path, START);
        assert_eq!(found.len(), frames, "{at}: {said}");
        assert!(said.contains(end), "{at}: {said}");
    }
}

#[test]
fn a_frame_of_a_newer_format_is_refused_by_name() {
    let dir = dir();
    write(&mut journal(&dir.path, START), b"new", 0);
    let mut bytes = fs::read(&dir.path).unwrap();
    bytes[7] = 2;
    let checksum = crc32fast::hash(&[&bytes[..28], b"new".as_slice()].concat());
    bytes[28..32].copy_from_slice(&checksum.to_be_bytes());
    fs::write(&dir.path, bytes).unwrap();
    assert!(read(&dir.path, START).1.contains("frames of format 2, this build knows 1"));
}

#[test]
fn a_change_never_changes_the_length_of_the_file_or_its_blocks() {
    use std::os::unix::fs::MetadataExt;
    let dir = dir();
    let size = || fs::metadata(&dir.path).map(|file| (file.len(), file.blocks())).unwrap();
    let before = size();
    assert_eq!(before, (CAPACITY, CAPACITY / 512));
    write(&mut journal(&dir.path, START), &[1; 5000], 0);
    assert_eq!(size(), before);
}
