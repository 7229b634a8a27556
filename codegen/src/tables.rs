//! Generates the tables of operations and constraints in `generated_tables.rs`. Every rule comes from the extract.

use std::fmt::Write;

use crate::extract::{Extract, Shape};
use crate::types::header;

/// Returns the text of `generated_tables.rs`.
pub fn tables(model: &Extract) -> String {
    let mut text = header(&model.source, "Operations and constraints of the MediaConvert API.");
    text.push_str("use crate::shape::{Member, Operation, Shape};\n\n");
    let _ = writeln!(text, "/// All operations, sorted by name.\npub static OPERATIONS: &[Operation] = &[");
    for (name, operation) in &model.operations {
        let (method, path, status) = (&operation.method, &operation.path, operation.status);
        let _ = writeln!(
            text,
            "Operation {{ name: {name:?}, method: {method:?}, path: {path:?}, status: {status} }},"
        );
    }
    text.push_str("];\n\n/// All shapes, sorted by name.\npub(crate) static SHAPES: &[(&str, Shape)] = &[\n");
    // The map's order is the order of Rust's string comparison, which the binary search needs.
    for (name, shape) in &model.shapes {
        let _ = writeln!(text, "({name:?}, {}),", entry(shape));
    }
    text.push_str("];\n");
    text
}

fn entry(shape: &Shape) -> String {
    match shape.r#type.as_str() {
        "structure" => structure(shape),
        "list" => {
            let item = shape.member.as_deref().unwrap_or_default();
            format!("Shape::List {{ item: {item:?}, min: {}, max: {} }}", whole(shape.min), whole(shape.max))
        }
        "map" => format!("Shape::Map {{ value: {:?} }}", shape.value.as_deref().unwrap_or_default()),
        "integer" | "long" => {
            format!("Shape::Integer {{ min: {}, max: {} }}", whole(shape.min), whole(shape.max))
        }
        "double" => format!("Shape::Number {{ min: {}, max: {} }}", decimal(shape.min), decimal(shape.max)),
        "boolean" => "Shape::Boolean".to_owned(),
        "timestamp" => "Shape::Timestamp".to_owned(),
        _ => format!(
            "Shape::Text {{ min: {}, max: {}, pattern: {:?}, values: &{:?} }}",
            whole(shape.min),
            whole(shape.max),
            shape.pattern,
            shape.values
        ),
    }
}

fn structure(shape: &Shape) -> String {
    let member = |(name, member): (&String, &crate::extract::Member)| {
        format!("Member {{ name: {:?}, shape: {:?} }}", member.wire_name(name), member.shape)
    };
    let members: Vec<String> = shape.members.iter().map(member).collect();
    let required: Vec<String> = shape
        .required
        .iter()
        .map(|name| shape.members.get(name).map_or_else(|| name.clone(), |member| member.wire_name(name)))
        .collect();
    format!("Shape::Structure {{ members: &[{}], required: &{required:?} }}", members.join(", "))
}

fn whole(bound: Option<f64>) -> String {
    bound.map_or("None".to_owned(), |bound| format!("Some({bound:.0})"))
}

fn decimal(bound: Option<f64>) -> String {
    bound.map_or("None".to_owned(), |bound| format!("Some({bound:?})"))
}
