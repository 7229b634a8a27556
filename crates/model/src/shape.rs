//! Shapes of the wire model as data: in a shape's name, out what it may hold. Never a value: `validate` and `keys` walk
//! values along shapes.

use crate::generated_tables::SHAPES;

/// One operation of the MediaConvert API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// AWS's name, such as `CreateJob`.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{name}` for members that stand in it.
    pub path: &'static str,
    /// HTTP status of success.
    pub status: u16,
}

/// A member of a structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// Wire name, lower camel case.
    pub name: &'static str,
    /// Name of its shape.
    pub shape: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Shape {
    /// An object with known keys.
    Structure { members: &'static [Member], required: &'static [&'static str] },
    /// An array; bounds count items.
    List { item: &'static str, min: Option<i64>, max: Option<i64> },
    /// An object with the user's own keys.
    Map { value: &'static str },
    /// A text; bounds count characters, values are empty when any text goes.
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
    fn is_every_shape_found_and_every_reference_good() {
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
    fn are_all_operations_there() {
        assert_eq!(OPERATIONS.len(), 34);
        let create = OPERATIONS.iter().find(|operation| operation.name == "CreateJob").unwrap();
        assert_eq!((create.method, create.path, create.status), ("POST", "/2017-08-29/jobs", 201));
    }
}
