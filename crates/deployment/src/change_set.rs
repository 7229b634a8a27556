//! What a change set will do: in CloudFormation's changes, out rows for people. Never a change left out.

use aws_sdk_cloudformation::types;

/// One change to one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// `Add`, `Modify`, `Remove` and so on.
    pub action: String,
    /// Name in the template.
    pub resource: String,
    /// Its type, such as `AWS::S3::Bucket`.
    pub kind: String,
    /// Whether the resource is replaced by a new one: `True`, `False`, `Conditional`; empty when that is no question.
    pub replacement: String,
}

impl Change {
    pub(crate) fn of(change: &types::Change) -> Option<Self> {
        let change = change.resource_change()?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Some(Self {
            action: text(change.action().map(types::ChangeAction::as_str)),
            resource: text(change.logical_resource_id()),
            kind: text(change.resource_type()),
            replacement: text(change.replacement().map(types::Replacement::as_str)),
        })
    }

    /// The cells of a row: action, resource, type, replacement.
    pub fn cells(&self) -> Vec<String> {
        vec![self.action.clone(), self.resource.clone(), self.kind.clone(), self.replacement.clone()]
    }
}
