//! The payload of a message.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A payload: one JSON object, kept byte for byte as it was given. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Item(Bytes);

/// The reason why a payload is not a valid item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidItem {
    /// It is JSON, but not an object.
    #[error("item must be one JSON object, not {found}")]
    NotAnObject {
        /// The type it has instead.
        found: &'static str,
    },
    /// It is not JSON.
    #[error("item is not valid JSON: {0}")]
    NotJson(String),
}

impl Item {
    /// An item of JSON text, kept as it is.
    ///
    /// # Errors
    /// [`InvalidItem`] unless the text is one JSON object. White space around it is allowed and
    /// dropped.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, InvalidItem> {
        let raw: &RawValue = serde_json::from_slice(text.as_ref())
            .map_err(|error| InvalidItem::NotJson(error.to_string()))?;
        Self::from_raw(raw)
    }

    /// An item of parsed JSON.
    ///
    /// # Errors
    /// [`InvalidItem::NotAnObject`].
    pub fn from_raw(raw: &RawValue) -> Result<Self, InvalidItem> {
        let text = raw.get().trim_ascii();
        let found = match text.as_bytes().first() {
            Some(b'{') => return Ok(Self(Bytes::copy_from_slice(text.as_bytes()))),
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        };
        Err(InvalidItem::NotAnObject { found })
    }

    /// Takes a part of JSON text that was parsed already, without copying it: the whole text stays
    /// in memory as long as the item does.
    ///
    /// # Errors
    /// [`InvalidItem::NotAnObject`].
    ///
    /// # Panics
    /// If `raw` is not a part of `text`.
    pub fn from_part(text: &Bytes, raw: &RawValue) -> Result<Self, InvalidItem> {
        let part = raw.get().trim_ascii().as_bytes();
        if part.first() == Some(&b'{') {
            Ok(Self(text.slice_ref(part)))
        } else {
            Self::from_raw(raw)
        }
    }

    /// Serialises a value.
    ///
    /// # Errors
    /// [`InvalidItem`] if the value does not serialise, or not to an object.
    pub fn from_value(value: &impl Serialize) -> Result<Self, InvalidItem> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| InvalidItem::NotJson(error.to_string()))?;
        Self::from_raw(&raw)
    }

    /// An item read back from the store.
    pub(crate) fn from_store(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes as they were given.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an item is made of JSON text")
    }

    /// Reads the payload into a type.
    ///
    /// # Errors
    /// As [`serde_json::from_slice`].
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A payload to push: an [`Item`], JSON text, or a [`serde_json::Value`].
pub trait IntoItem {
    /// Converts it into an item.
    ///
    /// # Errors
    /// [`InvalidItem`] unless it is one JSON object.
    fn into_item(self) -> Result<Item, InvalidItem>;
}

impl IntoItem for Item {
    fn into_item(self) -> Result<Item, InvalidItem> {
        Ok(self)
    }
}

impl IntoItem for &Item {
    fn into_item(self) -> Result<Item, InvalidItem> {
        Ok(self.clone())
    }
}

impl IntoItem for serde_json::Value {
    fn into_item(self) -> Result<Item, InvalidItem> {
        Item::from_value(&self)
    }
}

impl IntoItem for &str {
    fn into_item(self) -> Result<Item, InvalidItem> {
        Item::from_json(self)
    }
}

impl IntoItem for &RawValue {
    fn into_item(self) -> Result<Item, InvalidItem> {
        Item::from_raw(self)
    }
}
