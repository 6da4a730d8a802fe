//! bincode, named in this file alone: every value begins with the number of its format.

use bincode::config;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::LoadError;

pub(crate) use bincode::{Decode, Encode};

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value was written by a version that knew a format this one does not.
    #[error("{record}: format {found} is unknown; the newest known is {newest}")]
    UnknownFormat {
        /// What was read.
        record: &'static str,
        /// The format number in front of it.
        found: u8,
        /// The newest format this version knows.
        newest: u8,
    },
    /// The bytes are not what was written.
    #[error("{record}: {reason}")]
    Malformed {
        /// What was read or written.
        record: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<CodecError> for LoadError {
    fn from(error: CodecError) -> Self {
        Self::Corrupt(error.to_string().into())
    }
}

/// A value of the store with a format number of its own.
pub(crate) trait Format: Encode + Decode<()> + 'static {
    /// The name used in errors.
    const NAME: &'static str;
    /// The number in front of what is written now.
    const FORMAT: u8;
    /// How what the formats before it wrote is decoded, that of format 1 first.
    const EARLIER: &'static [Decoder<Self>] = &[];
}

/// Decodes what follows a format number, and says how many bytes that took.
pub(crate) type Decoder<T> = fn(&[u8]) -> Result<(T, usize), CodecError>;

/// Decodes what an earlier format wrote as an `Old`.
pub(crate) fn upgrade<Old: Decode<()> + Into<New>, New: Format>(
    body: &[u8],
) -> Result<(New, usize), CodecError> {
    let (old, length) = decode_body::<Old>(New::NAME, body)?;
    Ok((old.into(), length))
}

const CONFIG: config::Configuration = config::standard();

fn malformed(record: &'static str, reason: &impl ToString) -> CodecError {
    CodecError::Malformed { record, reason: reason.to_string() }
}

/// Encodes `value`, followed by `tail` as it is.
pub(crate) fn encode<T: Format>(value: &T, tail: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(48 + tail.len());
    bytes.push(T::FORMAT);
    bincode::encode_into_std_write(value, &mut bytes, CONFIG)
        .expect("encoding plain records into memory cannot fail");
    bytes.extend_from_slice(tail);
    bytes.into()
}

/// Decodes a value and says at which byte its tail begins.
pub(crate) fn decode<T: Format>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    let (&format, body) = bytes.split_first().ok_or_else(|| malformed(T::NAME, &"no bytes"))?;
    let earlier = usize::from(format).checked_sub(1).and_then(|index| T::EARLIER.get(index));
    let (value, length) = match earlier {
        _ if format == T::FORMAT => decode_body(T::NAME, body)?,
        Some(decode) => decode(body)?,
        None => {
            let (record, newest) = (T::NAME, T::FORMAT);
            return Err(CodecError::UnknownFormat { record, found: format, newest });
        }
    };
    Ok((value, 1 + length))
}

/// Decodes what follows a format number, and says how many bytes that took.
pub(crate) fn decode_body<T: Decode<()>>(
    name: &'static str,
    body: &[u8],
) -> Result<(T, usize), CodecError> {
    bincode::decode_from_slice(body, CONFIG).map_err(|error| malformed(name, &error))
}

/// Encodes the state of a user's actor.
///
/// # Errors
/// [`CodecError::Malformed`] if its `Serialize` refuses.
pub fn encode_state<T: Serialize>(state: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(state, CONFIG).map_err(|error| malformed("actor state", &error))
}

/// Decodes the state of a user's actor as [`encode_state`] wrote it.
///
/// # Errors
/// [`CodecError::Malformed`] if the bytes are not a `T`, or more than one.
pub fn decode_state<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (state, length) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| malformed("actor state", &error))?;
    if length != bytes.len() {
        return Err(malformed("actor state", &format!("{} bytes too many", bytes.len() - length)));
    }
    Ok(state)
}
