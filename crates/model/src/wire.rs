//! Reads and writes the generated types as JSON values.
//!
//! It replaces serde's derived code, which the compiler repeats for every format and every crate that uses it. For 285
//! structures, that took a minute.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::problem::{Problem, step};

/// A type of AWS's model.
pub(crate) trait Wire: Sized {
    /// Reads a value. The problem has the JSON pointer of the first value whose type is wrong, below `value`.
    fn from_value(value: Value) -> Result<Self, Problem>;

    /// Writes the value; members that are not set are left out.
    fn to_value(&self) -> Value;
}

/// Returns the problem that `value` does not have the `wanted` type.
fn wrong(value: &Value, wanted: &str) -> Problem {
    Problem::new("", format!("Should be {wanted}, not {value}"))
}

fn below(problem: Problem, part: &str) -> Problem {
    Problem::new(format!("{}{}", step("", part), problem.pointer), problem.message)
}

macro_rules! scalar {
    ($type:ty, $wanted:literal, $read:expr) => {
        impl Wire for $type {
            fn from_value(value: Value) -> Result<Self, Problem> {
                let read: fn(&Value) -> Option<$type> = $read;
                read(&value).ok_or_else(|| wrong(&value, $wanted))
            }

            fn to_value(&self) -> Value {
                Value::from(self.clone())
            }
        }
    };
}

scalar!(i64, "a whole number", Value::as_i64);
scalar!(f64, "a number", Value::as_f64);
scalar!(bool, "a boolean", Value::as_bool);
scalar!(String, "a string", |value| value.as_str().map(str::to_owned));

impl Wire for Value {
    fn from_value(value: Value) -> Result<Self, Problem> {
        Ok(value)
    }

    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn from_value(value: Value) -> Result<Self, Problem> {
        let Value::Array(items) = value else { return Err(wrong(&value, "an array")) };
        let read = |(index, item): (usize, Value)| {
            T::from_value(item).map_err(|problem| below(problem, &index.to_string()))
        };
        items.into_iter().enumerate().map(read).collect()
    }

    fn to_value(&self) -> Value {
        Value::Array(self.iter().map(T::to_value).collect())
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn from_value(value: Value) -> Result<Self, Problem> {
        let read = |(key, item): (String, Value)| match T::from_value(item) {
            Ok(item) => Ok((key, item)),
            Err(problem) => Err(below(problem, &key)),
        };
        object(value)?.into_iter().map(read).collect()
    }

    fn to_value(&self) -> Value {
        Value::Object(self.iter().map(|(key, item)| (key.clone(), item.to_value())).collect())
    }
}

/// Returns the members of an object.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(wrong(&other, "an object")),
    }
}

/// Reads a member; one that is absent or null is not set.
pub(crate) fn member<T: Wire>(object: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Problem> {
    match object.get_mut(name).map(Value::take) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::from_value(value).map(Some).map_err(|problem| below(problem, name)),
    }
}

/// Writes a member if it is set.
pub(crate) fn put<T: Wire>(object: &mut Map<String, Value>, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.to_value());
    }
}

/// Defines a structure whose members are all optional, with their wire names. Unknown members are left out.
macro_rules! wire_struct {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$about])* pub $field: Option<$type>,)*
        }

        impl crate::wire::Wire for $name {
            fn from_value(value: serde_json::Value) -> Result<Self, crate::problem::Problem> {
                #[allow(unused_mut, reason = "a structure may have no members")]
                let mut object = crate::wire::object(value)?;
                let _ = &mut object;
                Ok(Self { $($field: crate::wire::member(&mut object, $wire)?,)* })
            }

            fn to_value(&self) -> serde_json::Value {
                #[allow(unused_mut, reason = "a structure may have no members")]
                let mut object = serde_json::Map::new();
                $(crate::wire::put(&mut object, $wire, self.$field.as_ref());)*
                serde_json::Value::Object(object)
            }
        }

        crate::wire::serde_by_value!($name);
    };
}

/// Implements serde's traits by way of a JSON value.
macro_rules! serde_by_value {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&crate::wire::Wire::to_value(self), serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
                crate::wire::Wire::from_value(value).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {serde_by_value, wire_struct};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    wire_struct! {
        /// A structure for these tests.
        Sample {
            /// A whole number.
            count: i64 = "count",
            /// A number.
            ratio: f64 = "ratio",
            /// A list.
            names: Vec<String> = "names",
            /// A map.
            inner: BTreeMap<String, Sample> = "innerOnes",
            /// A boolean.
            is_on: bool = "isOn",
            /// Anything.
            any: Value = "any",
        }
    }

    #[test]
    fn values_survive_a_round_trip() {
        let value = json!({
            "count": -3, "ratio": 0.5, "names": ["a", "b"], "innerOnes": {"x y": {"count": 1}}, "isOn": false,
            "any": {"more": [null, 1]},
        });
        let sample: Sample = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(sample.inner.as_ref().unwrap()["x y"].count, Some(1));
        assert_eq!(serde_json::to_value(&sample).unwrap(), value);
    }

    #[test]
    fn absent_null_and_unknown_members_are_left_out() {
        let sample: Sample = serde_json::from_value(json!({"count": null, "other": 1})).unwrap();
        assert_eq!(sample, Sample::default());
        assert_eq!(sample.to_value(), json!({}));
    }

    #[test]
    fn wrong_types_are_named_by_pointer() {
        for (value, pointer) in [
            (json!({"innerOnes": {"x/y": {"names": ["a", 2]}}}), "/innerOnes/x~1y/names/1"),
            (json!({"count": 1.5}), "/count"),
            (json!({"count": "1"}), "/count"),
            (json!({"ratio": true}), "/ratio"),
            (json!({"isOn": 1}), "/isOn"),
            (json!({"names": "a"}), "/names"),
            (json!({"innerOnes": []}), "/innerOnes"),
            (json!([]), ""),
        ] {
            assert_eq!(Sample::from_value(value.clone()).unwrap_err().pointer, pointer, "{value}");
        }
        assert_eq!(Sample::from_value(json!({"ratio": 2})).unwrap().ratio, Some(2.0));
        let problem = Sample::from_value(json!({"count": "1"})).unwrap_err();
        assert_eq!(problem.message, "Should be a whole number, not \"1\"");
    }
}
