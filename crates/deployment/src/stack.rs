//! One CloudFormation stack: in a template and parameters, out change sets, their execution followed to its end, and the
//! stack's outputs. Every wait has a limit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, OnStackFailure, Parameter};

use crate::stack_events::Seen;
use crate::{Account, Change, Error, ErrorKind, StackEvent, TEMPLATE, first_failure, parameters};

/// How often AWS is asked.
const PAUSE: Duration = Duration::from_millis(1500);
/// How long a change set, and a whole deployment, may take.
const CHANGE_SET_LIMIT: Duration = Duration::from_secs(120);
const STACK_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Pages of events that are read at once.
const EVENT_PAGES: usize = 10;

/// What is known of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackState {
    /// CloudFormation's word, such as `CREATE_COMPLETE`.
    pub status: String,
    /// Why, where CloudFormation says it.
    pub reason: String,
    /// Outputs by name.
    pub outputs: BTreeMap<String, String>,
    /// Parameters by name.
    pub parameters: BTreeMap<String, String>,
}

/// A change set that waits to be executed.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// Its name.
    pub name: String,
    /// Whether the stack is made by it.
    pub creates: bool,
    /// What it changes; empty when there is nothing to change.
    pub changes: Vec<Change>,
}

/// How a followed operation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As wanted.
    Done(StackState),
    /// The stack is gone.
    Gone,
}

/// A stack by name.
pub struct Stack {
    client: Client,
    name: String,
}

impl Stack {
    /// The stack `name` of the account.
    pub fn of(account: &Account, name: &str) -> Self {
        Self { client: Client::new(account.config()), name: name.to_owned() }
    }

    /// What is known of it; none when it is not there.
    ///
    /// # Errors
    /// When AWS does not say.
    pub async fn state(&self) -> Result<Option<StackState>, Error> {
        let described = match self.client.describe_stacks().stack_name(&self.name).send().await {
            Ok(described) => described,
            Err(error) if error.message().is_some_and(|text| text.contains("does not exist")) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::sdk(&format!("look at the stack `{}`", self.name))(error)),
        };
        let Some(stack) = described.stacks().first() else { return Ok(None) };
        let status = stack.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default();
        if status == "DELETE_COMPLETE" {
            return Ok(None);
        }
        let pair = |key: Option<&str>, value: Option<&str>| Some((key?.to_owned(), value?.to_owned()));
        Ok(Some(StackState {
            status,
            reason: stack.stack_status_reason().unwrap_or_default().to_owned(),
            outputs: stack
                .outputs()
                .iter()
                .filter_map(|one| pair(one.output_key(), one.output_value()))
                .collect(),
            parameters: stack
                .parameters()
                .iter()
                .filter_map(|one| pair(one.parameter_key(), one.parameter_value()))
                .collect(),
        }))
    }

    /// Makes a change set; parameters that are not given keep their value in a stack that is there.
    ///
    /// # Errors
    /// When the stack is in a state that cannot be changed, with the remedy; when AWS refuses the template.
    pub async fn plan(&self, given: &BTreeMap<String, String>) -> Result<ChangeSet, Error> {
        let state = self.state().await?;
        let creates = match &state {
            None => true,
            Some(state) => self.can_be_changed(state)?,
        };
        let known: Vec<String> = state
            .filter(|_| !creates)
            .map(|state| state.parameters.into_keys().collect())
            .unwrap_or_default();
        let name = format!("abanico-{}", now_ms());
        let what = format!("make a change set for the stack `{}`", self.name);
        let request = self
            .client
            .create_change_set()
            .stack_name(&self.name)
            .change_set_name(&name)
            .change_set_type(if creates { ChangeSetType::Create } else { ChangeSetType::Update })
            .template_body(TEMPLATE)
            .capabilities(Capability::CapabilityIam)
            .set_on_stack_failure(creates.then_some(OnStackFailure::Delete))
            .set_parameters(Some(wire_parameters(given, &known)));
        request.send().await.map_err(Error::sdk(&what))?;
        let changes = self.settled_changes(&name).await?;
        Ok(ChangeSet { name, creates, changes })
    }

    /// Whether the stack is yet to be made (a change set was made for it and never executed).
    fn can_be_changed(&self, state: &StackState) -> Result<bool, Error> {
        let refuse = |hint: String| {
            let message =
                format!("the stack `{}` cannot be changed: it is in state {}", self.name, state.status);
            Err(Error::new(ErrorKind::Stack, message, hint))
        };
        match state.status.as_str() {
            "REVIEW_IN_PROGRESS" => Ok(true),
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED" => refuse(format!(
                "its creation or removal failed; remove it with `abanico aws remove --stack {}`, then deploy again",
                self.name
            )),
            status if status.ends_with("_IN_PROGRESS") => {
                refuse("somebody is changing it right now: wait until that is done".to_owned())
            }
            "UPDATE_ROLLBACK_FAILED" => {
                refuse("continue its rollback in the CloudFormation console, then deploy again".to_owned())
            }
            _ => Ok(false),
        }
    }

    async fn settled_changes(&self, name: &str) -> Result<Vec<Change>, Error> {
        let what = format!("look at the change set of the stack `{}`", self.name);
        let begun = Instant::now();
        loop {
            let request = self.client.describe_change_set().stack_name(&self.name).change_set_name(name);
            let described = request.send().await.map_err(Error::sdk(&what))?;
            let reason = described.status_reason().unwrap_or_default();
            match described.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    return self.all_changes(name, &what).await;
                }
                Some(ChangeSetStatus::Failed) if says_nothing_to_change(reason) => return Ok(Vec::new()),
                Some(ChangeSetStatus::Failed) => {
                    let message = format!("CloudFormation cannot plan the change: {reason}");
                    return Err(Error::new(
                        ErrorKind::Stack,
                        message,
                        "mend what is named, then deploy again",
                    ));
                }
                _ if begun.elapsed() > CHANGE_SET_LIMIT => {
                    let message = "CloudFormation did not finish the change set within two minutes";
                    return Err(Error::new(ErrorKind::Aws, message, "try again"));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn all_changes(&self, name: &str, what: &str) -> Result<Vec<Change>, Error> {
        let (mut changes, mut token) = (Vec::new(), None);
        loop {
            let request = self.client.describe_change_set().stack_name(&self.name).change_set_name(name);
            let page = request.set_next_token(token.take()).send().await.map_err(Error::sdk(what))?;
            changes.extend(page.changes().iter().filter_map(Change::of));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(changes);
            }
        }
    }

    /// Throws a change set away, and the empty stack that it was made for.
    ///
    /// # Errors
    /// When AWS does not do it.
    pub async fn discard(&self, change_set: &ChangeSet) -> Result<(), Error> {
        let request =
            self.client.delete_change_set().stack_name(&self.name).change_set_name(&change_set.name);
        request.send().await.map_err(Error::sdk("delete the change set"))?;
        let is_empty_stack = self.state().await?.is_some_and(|state| state.status == "REVIEW_IN_PROGRESS");
        if change_set.creates && is_empty_stack {
            self.client
                .delete_stack()
                .stack_name(&self.name)
                .send()
                .await
                .map_err(Error::sdk("delete the empty stack"))?;
        }
        Ok(())
    }

    /// Executes a change set and follows it to its end; `tell` hears of every event.
    ///
    /// # Errors
    /// With the first resource that failed and why.
    pub async fn execute(
        &self,
        change_set: &ChangeSet,
        tell: impl FnMut(&StackEvent),
    ) -> Result<StackState, Error> {
        let since_ms = now_ms() - 1000;
        let request =
            self.client.execute_change_set().stack_name(&self.name).change_set_name(&change_set.name);
        request.send().await.map_err(Error::sdk("execute the change set"))?;
        match self.follow(since_ms, tell).await? {
            Outcome::Done(state) => Ok(state),
            Outcome::Gone => Err(Error::new(ErrorKind::Stack, "the stack is gone", "deploy again")),
        }
    }

    /// Removes the stack and follows that to its end.
    ///
    /// # Errors
    /// With the first resource that could not be removed and why.
    pub async fn remove(&self, tell: impl FnMut(&StackEvent)) -> Result<(), Error> {
        let since_ms = now_ms() - 1000;
        let request = self.client.delete_stack().stack_name(&self.name);
        request.send().await.map_err(Error::sdk("remove the stack"))?;
        self.follow(since_ms, tell).await.map(drop)
    }

    async fn follow(&self, since_ms: i64, mut tell: impl FnMut(&StackEvent)) -> Result<Outcome, Error> {
        let (begun, mut seen, mut all) = (Instant::now(), Seen::default(), Vec::new());
        loop {
            for event in seen.news(self.events().await?, since_ms) {
                tell(&event);
                all.push(event);
            }
            match self.state().await? {
                None if first_failure(&all).is_some() => {
                    return Err(self.failed("DELETE_COMPLETE", "", &all));
                }
                None => return Ok(Outcome::Gone),
                Some(state) if matches!(state.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") => {
                    return Ok(Outcome::Done(state));
                }
                Some(state) if !state.status.ends_with("_IN_PROGRESS") => {
                    return Err(self.failed(&state.status, &state.reason, &all));
                }
                Some(_) if begun.elapsed() > STACK_LIMIT => {
                    let message = format!("the stack `{}` is not done after half an hour", self.name);
                    return Err(Error::new(ErrorKind::Aws, message, "look at it with `abanico aws status`"));
                }
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn failed(&self, status: &str, reason: &str, events: &[StackEvent]) -> Error {
        let message = match first_failure(events) {
            Some(event) => format!("{} ({}) failed: {}", event.resource, event.kind, event.reason),
            None => format!("the stack `{}` ended in {status}: {reason}", self.name),
        };
        let hint = "CloudFormation took the change back; mend what is named, then deploy again \
                    (`abanico aws policy` prints the rights that a deployer needs)";
        Error::new(ErrorKind::Stack, message, hint)
    }

    /// Recent events, newest first; none when there is no stack.
    async fn events(&self) -> Result<Vec<StackEvent>, Error> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..EVENT_PAGES {
            let request = self.client.describe_stack_events().stack_name(&self.name);
            let page = match request.set_next_token(token.take()).send().await {
                Ok(page) => page,
                Err(error) if error.message().is_some_and(|text| text.contains("does not exist")) => break,
                Err(error) => return Err(Error::sdk("read the stack's events")(error)),
            };
            events.extend(page.stack_events().iter().map(event));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        Ok(events)
    }
}

fn event(event: &aws_sdk_cloudformation::types::StackEvent) -> StackEvent {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    StackEvent {
        id: text(event.event_id()),
        time_ms: event.timestamp().and_then(|time| time.to_millis().ok()).unwrap_or(0),
        resource: text(event.logical_resource_id()),
        kind: text(event.resource_type()),
        status: text(event.resource_status().map(|status| status.as_str())),
        reason: text(event.resource_status_reason()),
    }
}

/// Given values, and the old ones of what the stack has and the template still knows.
fn wire_parameters(given: &BTreeMap<String, String>, known: &[String]) -> Vec<Parameter> {
    let fresh = given
        .iter()
        .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build());
    let template = parameters::names();
    let kept = known
        .iter()
        .filter(|name| !given.contains_key(*name) && template.contains(&name.as_str()))
        .map(|name| Parameter::builder().parameter_key(name).use_previous_value(true).build());
    fresh.chain(kept).collect()
}

fn says_nothing_to_change(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn do_parameters_keep_their_value_unless_given_anew() {
        let given = [("Job".to_owned(), "hls".to_owned())].into();
        let known = ["Job", "Queue", "GoneFromTheTemplate"].map(str::to_owned);
        let wire = wire_parameters(&given, &known);
        let told: Vec<_> = wire
            .iter()
            .map(|one| (one.parameter_key().unwrap(), one.parameter_value(), one.use_previous_value()))
            .collect();
        assert_eq!(told, [("Job", Some("hls"), None), ("Queue", None, Some(true))]);
    }

    #[test]
    fn is_an_empty_change_set_no_failure() {
        assert!(says_nothing_to_change(
            "The submitted information didn't contain changes. Submit different…"
        ));
        assert!(!says_nothing_to_change("Template error"));
    }
}
