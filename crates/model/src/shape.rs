//! The shapes of AWS's model as data: what each structure, list or value may hold. `validate` and `keys` walk values
//! along these shapes.

use crate::generated_tables::SHAPES;

/// One operation of the MediaConvert API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// AWS's name for the operation, such as `CreateJob`.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path; `{name}` stands for a member that is part of the path.
    pub path: &'static str,
    /// HTTP status of a successful response.
    pub status: u16,
}

/// A member of a structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// Wire name, in lower camel case.
    pub name: &'static str,
    /// Name of its shape.
    pub shape: &'static str,
}

/// The values that a shape allows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Shape {
    /// An object with known keys.
    Structure { members: &'static [Member], required: &'static [&'static str] },
    /// An array; the bounds count items.
    List { item: &'static str, min: Option<i64>, max: Option<i64> },
    /// An object with keys of the user's choice.
    Map { value: &'static str },
    /// A string; the bounds count characters. `values` is empty unless the shape is an enum.
    Text {
        min: Option<i64>,
        max: Option<i64>,
        pattern: Option<&'static str>,
        values: &'static [&'static str],
    },
    /// A whole number.
    Integer { min: Option<i64>, max: Option<i64> },
    /// A number.
    Number { min: Option<f64>, max: Option<f64> },
    /// `true` or `false`.
    Boolean,
    /// Seconds since 1970-01-01 UTC.
    Timestamp,
}

impl Shape {
    /// Finds a shape by its name in AWS's model.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let index = SHAPES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
        SHAPES.get(index).map(|(_, shape)| shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated_tables::OPERATIONS;

    #[test]
    fn every_shape_and_reference_resolves() {
        assert!(SHAPES.len() > 900);
        for (name, _) in SHAPES {
            let references: Vec<&str> = match Shape::named(name) {
                Some(Shape::Structure { members, .. }) => members.iter().map(|member| member.shape).collect(),
                Some(Shape::List { item, .. }) => vec![item],
                Some(Shape::Map { value }) => vec![value],
                Some(_) => vec![],
                None => panic!("`{name}` is not found"),
            };
            assert!(
                references.iter().all(|reference| Shape::named(reference).is_some()),
                "{name}: {references:?}"
            );
        }
    }

    #[test]
    fn all_operations_are_listed() {
        assert_eq!(OPERATIONS.len(), 34);
        let create = OPERATIONS.iter().find(|operation| operation.name == "CreateJob").unwrap();
        assert_eq!((create.method, create.path, create.status), ("POST", "/2017-08-29/jobs", 201));
    }
}
