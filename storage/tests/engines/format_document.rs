//! `FORMAT.md` describes what is written: no tag and no format is missing from it, and a reader
//! made of nothing but the document finds in a directory what was put there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use lanekeeper_storage::{
    Batch, Durability, EmbeddedEngine, EmbeddedOptions, Engine, Fence, Key, ShardNo,
    conformance::wait_committed,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join("FORMAT.md")).unwrap()
}

/// Every source file of the crate, one behind the other.
fn sources(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn the_document_names_every_key_tag() {
    let (sources, document) = (sources(&root().join("src")), document());
    let tags: Vec<&str> = sources
        .lines()
        .filter(|line| line.trim_start().starts_with("pub(crate) const "))
        .filter_map(|line| line.split_once(": u8 = 0x"))
        .map(|(_, number)| number.trim_end_matches(';'))
        .collect();
    assert!(tags.len() >= 27, "the tags are written another way: {tags:?}");
    for tag in tags {
        assert!(document.contains(&format!("\n| `{tag}` |")), "no row for the tag {tag}");
    }
}

#[test]
fn the_document_describes_every_format_of_every_record() {
    let (sources, document) = (sources(&root().join("src")), document());
    let mut record_count = 0;
    for name in ["record!(", "header!("] {
        for call in sources.split(name).skip(1) {
            let Some((call, _)) = call.split_once(");") else { continue };
            let parts: Vec<&str> = call.split(',').map(str::trim).collect();
            let [_, name, format, ..] = parts[..] else { continue };
            let (Some(name), Ok(format)) =
                (name.strip_prefix('"').and_then(|name| name.strip_suffix('"')), format.parse())
            else {
                continue;
            };
            record_count += 1;
            describes(&document, name, format);
        }
    }
    assert!(record_count >= 26, "the records are written another way: {record_count} were found");
}

fn describes(document: &str, name: &str, format: u8) {
    let title = format!("\n**{name}**, format {format}");
    let (_, rest) = document.split_once(&title).unwrap_or_else(|| panic!("no {title:?}"));
    let section = rest.split("\n**").next().unwrap_or_default();
    for earlier in 1..format {
        let told = format!("Format {earlier}:");
        assert!(section.contains(&told), "{name}: format {earlier} is not described");
    }
}

#[test]
fn the_document_names_the_formats_of_the_files() {
    let (sources, document) = (sources(&root().join("src")), document());
    let magics: Vec<&str> = sources
        .split("*b\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|m| m.0)
        .collect();
    assert!(magics.len() >= 2, "{magics:?}");
    for magic in magics {
        assert!(document.contains(magic), "{magic} is not in the document");
    }
    let (_, newest) = sources.split_once("const NEWEST: u32 = ").unwrap();
    let newest = newest.split(';').next().unwrap();
    assert!(document.contains(&format!("directory format **{newest}**")), "format {newest}");
}

#[test]
fn a_reader_made_of_the_document_finds_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = BTreeMap::new();
    let engine = EmbeddedEngine::open(dir.path(), EmbeddedOptions::default()).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    for number in 0_u8..40 {
        let mut batch = Batch::new();
        batch.put(Key::from_bytes(&[5, number % 7]), vec![number; usize::from(number) * 300]);
        expected.insert(vec![5, number % 7], vec![number; usize::from(number) * 300]);
        batch.delete(Key::from_bytes(&[5, number % 3]));
        expected.remove(&vec![5, number % 3]);
        engine.commit(fence, batch, Durability::Durable).unwrap();
    }
    wait_committed(&engine, engine.handed_over(), Durability::Durable).unwrap();
    // Nobody has called upkeep, so that all of it lies in the journal.
    assert_eq!(read(dir.path()), expected);
}

/// Reads the manifest and the journal of a directory of which nothing was checkpointed yet.
fn read(dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let manifest = fs::read(dir.join("MANIFEST")).unwrap();
    assert_eq!(manifest.len(), 256);
    let (body, checksum) = manifest.split_at(manifest.windows(9).position(is_checksum).unwrap());
    assert!(body.starts_with(b"lanekeeper data directory\nformat 2\nincarnation 1\nbase 1\n"));
    let checksum = std::str::from_utf8(checksum).unwrap().trim_end();
    assert_eq!(checksum, format!("checksum {:08x}", crc32fast::hash(body)));
    let tail = fs::read(dir.join("journal/TAIL")).unwrap();
    assert_eq!((tail.len(), &tail[..8]), (512, &b"LKJOTAIL"[..]));
    assert_eq!(u32le(&tail, 8), crc32fast::hash(&tail[12..]));
    let id = u64le(&tail, 24);
    let mut found = BTreeMap::new();
    if id == 0 {
        return found;
    }
    let segment = fs::read(dir.join(format!("journal/{id:020}.log"))).unwrap();
    assert_eq!((&segment[..8], u32le(&segment, 8)), (&b"LKJOURNL"[..], 2));
    let checksum = crc32fast::hash(&[&segment[..12], &segment[16..512]].concat());
    assert_eq!(u32le(&segment, 12), checksum);
    assert_eq!((u64le(&segment, 16), u64le(&segment, 24)), (id, 1));
    assert_eq!(u64le(&segment, 40), segment.len() as u64);
    let (mut offset, mut next) = (512, u64le(&segment, 32));
    while let Some(length) = frame_length(&segment[offset..], id, next) {
        next += u64::from(u32le(&segment, offset + 32));
        apply(&segment[offset + 36..offset + length], &mut found);
        offset += length;
    }
    found
}

fn is_checksum(window: &[u8]) -> bool {
    window == b"checksum "
}

/// The length of the frame at the beginning of `bytes`, if one matches.
fn frame_length(bytes: &[u8], id: u64, next: u64) -> Option<usize> {
    let length = 36 + u32le(bytes, 8) as usize;
    let frame = bytes.get(..length)?;
    let checksum = crc32fast::hash(&[&id.to_le_bytes(), &frame[8..]].concat());
    let is_match = u32le(frame, 0) == 0x6772_6f75
        && u32le(frame, 4) == checksum
        && u32le(frame, 12) == id as u32
        && u64le(frame, 16) == next;
    is_match.then_some(length)
}

fn apply(mut payload: &[u8], found: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    while !payload.is_empty() {
        for _ in 0..number(&mut payload) {
            let word = number(&mut payload);
            let value_bytes =
                if word.is_multiple_of(2) { Some(number(&mut payload)) } else { None };
            let key = payload.split_off(..word as usize / 2).unwrap().to_vec();
            match value_bytes {
                Some(bytes) => {
                    let value = payload.split_off(..bytes as usize).unwrap().to_vec();
                    found.insert(key, value);
                }
                None => drop(found.remove(&key)),
            }
        }
    }
}

fn number(payload: &mut &[u8]) -> u32 {
    u32le(payload.split_off(..4).unwrap(), 0)
}

fn u32le(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64le(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
