//! Items that can be told apart: which run made one, and which of that run's items it is.

use std::io::Write;

use serde::{Deserialize, Serialize};

/// Which item of a run: the lane of whoever pushed it, and its place in that lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ItemId {
    /// One lane for each generator, so that nobody has to agree on the next number.
    pub(crate) lane: u16,
    /// Counted from 0 in its lane.
    pub(crate) number: u32,
}

/// Why an item that came back is none that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It names another run, or none.
    Foreign,
    /// It names this run, but not with the bytes that were sent.
    Altered,
}

/// Writes and reads the items of one run.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    head: Vec<u8>,
    sizes: Vec<usize>,
}

impl Items {
    /// The items of a run, of these sizes in turn.
    pub(crate) fn new(run: &str, sizes: &[usize]) -> Self {
        let head = format!("{{\"run\":\"{run}\",\"lane\":").into_bytes();
        Self { head, sizes: sizes.to_vec() }
    }

    /// Appends the text of an item.
    pub(crate) fn write(&self, id: ItemId, out: &mut Vec<u8>) {
        let size = self.sizes[id.number as usize % self.sizes.len()];
        let begin = out.len();
        out.extend_from_slice(&self.head);
        write!(out, "{},\"number\":{},\"pad\":\"", id.lane, id.number)
            .expect("memory takes every byte");
        let used = out.len() - begin + 2;
        out.resize(out.len() + size.saturating_sub(used), b'x');
        out.extend_from_slice(b"\"}");
    }

    /// Reads an item that came back, byte for byte; `scratch` saves making a buffer each time.
    pub(crate) fn read(&self, text: &[u8], scratch: &mut Vec<u8>) -> Result<ItemId, Stranger> {
        let rest = text.strip_prefix(self.head.as_slice()).ok_or(Stranger::Foreign)?;
        let (lane, rest) = number(rest).ok_or(Stranger::Altered)?;
        let rest = rest.strip_prefix(b",\"number\":").ok_or(Stranger::Altered)?;
        let (number, _) = number(rest).ok_or(Stranger::Altered)?;
        let lane = u16::try_from(lane).map_err(|_| Stranger::Altered)?;
        let number = u32::try_from(number).map_err(|_| Stranger::Altered)?;
        let id = ItemId { lane, number };
        scratch.clear();
        self.write(id, scratch);
        if scratch == text { Ok(id) } else { Err(Stranger::Altered) }
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    std::str::from_utf8(number).ok()?.parse().ok().map(|number| (number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_as_large_as_said_and_comes_back() {
        let items = Items::new("0123456789abcdef", &[100, 1000]);
        for (number, size) in [(0, 100), (1, 1000), (12_346, 100)] {
            let id = ItemId { lane: 7, number };
            let mut text = Vec::new();
            items.write(id, &mut text);
            assert_eq!(text.len(), size);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
            assert_eq!(items.read(&text, &mut Vec::new()), Ok(id));
        }
    }

    #[test]
    fn a_changed_byte_and_a_strange_item_are_seen() {
        let items = Items::new("aa", &[100]);
        let mut text = Vec::new();
        items.write(ItemId { lane: 0, number: 3 }, &mut text);
        let place = text.len() - 5;
        text[place] = b'y';
        assert_eq!(items.read(&text, &mut Vec::new()), Err(Stranger::Altered));
        let mut other = Vec::new();
        Items::new("bb", &[100]).write(ItemId { lane: 0, number: 3 }, &mut other);
        assert_eq!(items.read(&other, &mut Vec::new()), Err(Stranger::Foreign));
        assert_eq!(items.read(b"{}", &mut Vec::new()), Err(Stranger::Foreign));
    }
}
