//! Calls CloudFormation: creates, describes, executes and deletes change sets, describes and deletes stacks, and lists
//! stack events.
//!
//! Field names and the version are those of AWS's CloudFormation API reference (2010-05-15).

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::form::Form;
use crate::xml::Element;
use crate::{Error, Operation, SignedClient};

const VERSION: &str = "2010-05-15";

/// A stack as CloudFormation describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackState {
    /// CloudFormation's status, such as `CREATE_COMPLETE`.
    pub status: String,
    /// The reason for the status; empty if CloudFormation gives none.
    pub reason: String,
    /// Outputs by name.
    pub outputs: BTreeMap<String, String>,
    /// Parameters by name.
    pub parameters: BTreeMap<String, String>,
}

/// One change that a change set makes to a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// `Add`, `Modify`, `Remove` or another action of CloudFormation.
    pub action: String,
    /// The resource's name in the template.
    pub resource: String,
    /// The resource's type, such as `AWS::S3::Bucket`.
    pub kind: String,
    /// Whether a new resource replaces the old one: `True`, `False` or `Conditional`; empty where it does not apply.
    pub replacement: String,
}

/// A page of a change set's description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeSetPage {
    /// CloudFormation's status, such as `CREATE_COMPLETE` or `FAILED`.
    pub status: String,
    /// The reason for the status; empty if CloudFormation gives none.
    pub reason: String,
    /// The changes of this page.
    pub changes: Vec<Change>,
    /// Token of the next page; `None` on the last one.
    pub next_token: Option<String>,
}

/// One event of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackEvent {
    /// CloudFormation's id of the event.
    pub id: String,
    /// Time in milliseconds since 1970.
    pub time_ms: i64,
    /// Name of the resource in the template, or of the stack.
    pub resource: String,
    /// The resource's type.
    pub kind: String,
    /// Status, such as `CREATE_IN_PROGRESS`.
    pub status: String,
    /// The reason for the status; empty if CloudFormation gives none.
    pub reason: String,
}

/// The value of a template's parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parameter {
    /// This value.
    Value(String),
    /// The value that the stack has now.
    Previous,
}

/// What `CreateChangeSet` needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewChangeSet<'a> {
    /// Name of the stack.
    pub stack: &'a str,
    /// Name of the change set; also the token that lets the call be repeated safely.
    pub name: &'a str,
    /// Whether the change set creates the stack. If the creation fails, CloudFormation deletes the stack.
    pub creates: bool,
    /// The template; at most 51,200 bytes.
    pub template: &'a str,
    /// Parameters by name.
    pub parameters: BTreeMap<String, Parameter>,
}

/// A client of CloudFormation.
#[derive(Clone)]
pub struct CloudFormation(SignedClient);

impl CloudFormation {
    /// Creates a client that sends through `client`, which must sign for `cloudformation`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Describes the stack `name`. Returns `None` if there is no such stack or it is deleted.
    ///
    /// # Errors
    /// Fails if the service refuses the call or cannot be reached.
    pub async fn describe_stack(&self, name: &str) -> Result<Option<StackState>, Error> {
        let form = call(Operation::DescribeStacks).with("StackName", name);
        let answer = match self.send(Operation::DescribeStacks, form).await {
            Ok(answer) => answer,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stack = answer.find("DescribeStacksResult").and_then(|result| result.members("Stacks").next());
        Ok(stack.map(stack_state).filter(|state| state.status != "DELETE_COMPLETE"))
    }

    /// Starts creating a change set.
    ///
    /// # Errors
    /// Fails if CloudFormation refuses the template or a parameter, or cannot be reached.
    pub async fn create_change_set(&self, new: &NewChangeSet<'_>) -> Result<(), Error> {
        let mut form = call(Operation::CreateChangeSet)
            .with("StackName", new.stack)
            .with("ChangeSetName", new.name)
            .with("ClientToken", new.name)
            .with("ChangeSetType", if new.creates { "CREATE" } else { "UPDATE" })
            .with("TemplateBody", new.template)
            .with("Capabilities.member.1", "CAPABILITY_IAM")
            .with_some("OnStackFailure", new.creates.then_some("DELETE"));
        for (number, (name, value)) in (1..).zip(&new.parameters) {
            let member = format!("Parameters.member.{number}");
            form = form.with(format!("{member}.ParameterKey"), name);
            form = match value {
                Parameter::Value(value) => form.with(format!("{member}.ParameterValue"), value),
                Parameter::Previous => form.with(format!("{member}.UsePreviousValue"), "true"),
            };
        }
        self.send(Operation::CreateChangeSet, form).await.map(drop)
    }

    /// Describes a change set, one page of its changes at a time. `next_token` comes from the previous page.
    ///
    /// # Errors
    /// Fails if there is no such change set or the service cannot be reached.
    pub async fn describe_change_set(
        &self,
        stack: &str,
        name: &str,
        next_token: Option<&str>,
    ) -> Result<ChangeSetPage, Error> {
        let form =
            of_change_set(Operation::DescribeChangeSet, stack, name).with_some("NextToken", next_token);
        let answer = self.send(Operation::DescribeChangeSet, form).await?;
        let result = self.result(&answer, "DescribeChangeSetResult")?;
        Ok(ChangeSetPage {
            status: result.text_of("Status"),
            reason: result.text_of("StatusReason"),
            changes: result.members("Changes").filter_map(change).collect(),
            next_token: Some(result.text_of("NextToken")).filter(|token| !token.is_empty()),
        })
    }

    /// Starts executing a change set.
    ///
    /// # Errors
    /// Fails if the change set cannot be executed in its state, or the service cannot be reached.
    pub async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Error> {
        let form = of_change_set(Operation::ExecuteChangeSet, stack, name).with("ClientRequestToken", name);
        self.send(Operation::ExecuteChangeSet, form).await.map(drop)
    }

    /// Deletes a change set; the stack stays.
    ///
    /// # Errors
    /// Fails if the service refuses the call or cannot be reached.
    pub async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Error> {
        let form = of_change_set(Operation::DeleteChangeSet, stack, name);
        self.send(Operation::DeleteChangeSet, form).await.map(drop)
    }

    /// Starts deleting a stack.
    ///
    /// # Errors
    /// Fails if the service refuses the call or cannot be reached.
    pub async fn delete_stack(&self, name: &str) -> Result<(), Error> {
        let form = call(Operation::DeleteStack).with("StackName", name);
        self.send(Operation::DeleteStack, form).await.map(drop)
    }

    /// Lists a page of a stack's events, newest first, with the token of the next page. Empty if there is no such
    /// stack.
    ///
    /// # Errors
    /// Fails if the service refuses the call or cannot be reached.
    pub async fn stack_events(
        &self,
        name: &str,
        next_token: Option<&str>,
    ) -> Result<(Vec<StackEvent>, Option<String>), Error> {
        let form =
            call(Operation::DescribeStackEvents).with("StackName", name).with_some("NextToken", next_token);
        let answer = match self.send(Operation::DescribeStackEvents, form).await {
            Ok(answer) => answer,
            Err(error) if is_missing(&error) => return Ok((Vec::new(), None)),
            Err(error) => return Err(error),
        };
        let result = self.result(&answer, "DescribeStackEventsResult")?;
        let next = Some(result.text_of("NextToken")).filter(|token| !token.is_empty());
        Ok((result.members("StackEvents").map(stack_event).collect(), next))
    }

    async fn send(&self, operation: Operation, form: Form) -> Result<Element, Error> {
        // All calls are idempotent: those that change something carry a token or a unique name.
        let response = self.0.send(operation, &form.into_request(), true).await?;
        let what = format!("cloudformation {}", operation.name());
        Element::parse(&response.body).ok_or_else(|| Error::answer(&what, "it is not XML"))
    }

    fn result<'a>(&self, answer: &'a Element, name: &str) -> Result<&'a Element, Error> {
        answer.find(name).ok_or_else(|| Error::answer("cloudformation", &format!("it has no `{name}`")))
    }
}

fn call(operation: Operation) -> Form {
    Form::of(operation.name(), VERSION)
}

fn of_change_set(operation: Operation, stack: &str, name: &str) -> Form {
    call(operation).with("StackName", stack).with("ChangeSetName", name)
}

/// CloudFormation reports a missing stack as a 400 `ValidationError` with this text (AWS documents no separate code for
/// it).
fn is_missing(error: &Error) -> bool {
    error.status() == Some(400) && error.to_string().contains("does not exist")
}

fn stack_state(stack: &Element) -> StackState {
    let pairs = |list: &str, key: &str, value: &str| {
        stack.members(list).map(|entry| (entry.text_of(key), entry.text_of(value))).collect()
    };
    StackState {
        status: stack.text_of("StackStatus"),
        reason: stack.text_of("StackStatusReason"),
        outputs: pairs("Outputs", "OutputKey", "OutputValue"),
        parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
    }
}

fn change(member: &Element) -> Option<Change> {
    let change = member.child("ResourceChange")?;
    Some(Change {
        action: change.text_of("Action"),
        resource: change.text_of("LogicalResourceId"),
        kind: change.text_of("ResourceType"),
        replacement: change.text_of("Replacement"),
    })
}

fn stack_event(event: &Element) -> StackEvent {
    let time = OffsetDateTime::parse(&event.text_of("Timestamp"), &Rfc3339).ok();
    let time_ms = time.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    StackEvent {
        id: event.text_of("EventId"),
        time_ms: time_ms.unwrap_or(0),
        resource: event.text_of("LogicalResourceId"),
        kind: event.text_of("ResourceType"),
        status: event.text_of("ResourceStatus"),
        reason: event.text_of("ResourceStatusReason"),
    }
}
