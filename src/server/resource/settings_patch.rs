//! Settings as they are read and written: what `GET` answers is what `PUT` takes, and `PATCH`
//! changes a part of it (RFC 7396).

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::server::http::{code::Code, json, problem::Problem};

/// Reads settings as `GET` answers them: what they say of `derived`, which is told beside the
/// settings and follows from them or from elsewhere, is left out of account.
///
/// # Errors
/// As [`parse::object`].
pub(crate) fn settings<T: DeserializeOwned>(text: &[u8], derived: &[&str]) -> Result<T, Problem> {
    match serde_json::from_slice::<Map<String, Value>>(text) {
        Ok(mut fields) if derived.iter().any(|name| fields.contains_key(*name)) => {
            derived.iter().for_each(|name| drop(fields.remove(*name)));
            read(&fields)
        }
        _ => json::object(text),
    }
}

/// Fields that are left out while there is nothing to say.
const LEFT_OUT: [&str; 1] = ["headers"];

/// Changes to make to settings: the fields that are named, where `null` stands for the default.
#[derive(Debug)]
pub(crate) struct MergePatch(Map<String, Value>);

impl MergePatch {
    /// Reads one from a body. What it says of `derived` is left out of account, as [`settings`]
    /// does.
    ///
    /// # Errors
    /// `invalid_request` if it is not a JSON object.
    pub(crate) fn read(text: &[u8], derived: &[&str]) -> Result<Self, Problem> {
        let mut fields: Map<String, Value> = json::object(text)?;
        derived.iter().for_each(|name| drop(fields.remove(*name)));
        Ok(Self(fields))
    }

    /// Whether it changes nothing, whatever the settings are.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The settings with the changes made.
    ///
    /// # Errors
    /// `invalid_request` for a field that there is not; otherwise as [`parse::object`].
    pub(crate) fn apply<T: Serialize + DeserializeOwned>(&self, to: &T) -> Result<T, Problem> {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(to) else {
            unreachable!("settings are written as objects");
        };
        // Taking away what is not there would hide a slip of the pen.
        let is_known =
            |name: &&String| fields.contains_key(*name) || LEFT_OUT.contains(&name.as_str());
        let unknown = self.0.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name);
        if let Some(name) = unknown.clone().find(|name| !is_known(name)) {
            let known = fields.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let detail = format!("{name}: unknown field, expected one of {}", known.join(", "));
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        merge(&mut fields, &self.0);
        read(&fields)
    }
}

fn read<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, Problem> {
    let text = serde_json::to_vec(fields).expect("JSON that was read can be written");
    json::object(&text)
}

/// Merges as RFC 7396 has it. As deep as the patch is, which the parser bounds.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(name)),
            Value::Object(inner) => {
                let into = target.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if !into.is_object() {
                    *into = Value::Object(Map::new());
                }
                if let Value::Object(into) = into {
                    merge(into, inner);
                }
            }
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396 whose target and patch are objects.
    #[test]
    fn a_patch_is_merged_as_the_rfc_has_it() {
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.as_object().expect("an object").clone();
            merge(&mut merged, patch.as_object().expect("an object"));
            assert_eq!(Value::Object(merged), expected, "{target} {patch}");
        }
    }
}
