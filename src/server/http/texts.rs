//! Many texts in one body.

use std::{borrow::Cow, fmt};

use lanekeeper_actors::queue::LEASES_MAX as KEPT_MAX;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

/// Texts of one request as far as they can be taken, and how many there were: a body of millions
/// of tiny ones does not take many times its size in memory.
#[derive(Default)]
pub(crate) struct Texts<'a> {
    pub(crate) kept: Vec<Cow<'a, str>>,
    pub(crate) count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < KEPT_MAX {
                    let Some(Text(text)) = seq.next_element()? else {
                        return Ok(Texts { count: kept.len(), kept });
                    };
                    kept.push(text);
                }
                let mut count = kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Texts { kept, count })
            }
        }

        deserializer.deserialize_seq(TextsVisitor)
    }
}
