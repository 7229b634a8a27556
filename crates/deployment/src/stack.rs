//! Plans, executes and follows changes of one CloudFormation stack, and reads its state. Every wait has a time limit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use abanico_aws::{Change, ChangeSetPage, CloudFormation, NewChangeSet, Parameter, StackEvent, StackState};
use abanico_process::clock::wall_ms;

use crate::stack_events::Seen;
use crate::{Account, Error, ErrorKind, TEMPLATE, first_failure, parameters};

/// Pause between two polls of AWS.
const PAUSE: Duration = Duration::from_millis(1500);
/// Time limits for creating a change set and for a whole deployment.
const CHANGE_SET_LIMIT: Duration = Duration::from_secs(120);
const STACK_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Maximum number of event pages per poll.
const EVENT_PAGES: usize = 10;

/// A change set that has not been executed yet.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The change set's name.
    pub name: String,
    /// Whether executing it creates the stack.
    pub creates: bool,
    /// The changes; empty if there is nothing to change.
    pub changes: Vec<Change>,
}

/// How an operation on a stack ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The stack was created or updated.
    Done(StackState),
    /// The stack no longer exists.
    Gone,
}

/// A CloudFormation stack, which may not exist yet.
pub struct Stack {
    client: CloudFormation,
    name: String,
}

impl Stack {
    /// Names a stack of the account. It need not exist.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn of(account: &Account, name: &str) -> Result<Self, Error> {
        Ok(Self { client: account.cloudformation()?, name: name.to_owned() })
    }

    /// Returns the stack's state, or `None` if there is no such stack.
    ///
    /// # Errors
    /// Fails if AWS refuses or cannot be reached.
    pub async fn state(&self) -> Result<Option<StackState>, Error> {
        let described = self.client.describe_stack(&self.name).await;
        described.map_err(Error::client(&format!("look at the stack `{}`", self.name)))
    }

    /// Creates a change set. In an existing stack, parameters that are not in `given` keep their values.
    ///
    /// # Errors
    /// Fails if the stack's state does not permit a change, or if AWS refuses the template.
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
        let name = format!("abanico-{}", wall_ms());
        let what = format!("create a change set for the stack `{}`", self.name);
        let new = NewChangeSet {
            stack: &self.name,
            name: &name,
            creates,
            template: TEMPLATE,
            parameters: wire_parameters(given, &known),
        };
        self.client.create_change_set(&new).await.map_err(Error::client(&what))?;
        let changes = self.settled_changes(&name).await?;
        Ok(ChangeSet { name, creates, changes })
    }

    /// Returns whether the stack still has to be created. That is so if a change set was made for it but never
    /// executed. Fails if the stack's state does not permit a change.
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
                refuse("another change is in progress: wait until it has finished".to_owned())
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
            let page = self.client.describe_change_set(&self.name, name, None).await;
            let page = page.map_err(Error::client(&what))?;
            match page.status.as_str() {
                "CREATE_COMPLETE" => return self.all_changes(name, page, &what).await,
                "FAILED" if says_nothing_to_change(&page.reason) => return Ok(Vec::new()),
                "FAILED" => {
                    let message = format!("CloudFormation cannot plan the change: {}", page.reason);
                    return Err(Error::new(
                        ErrorKind::Stack,
                        message,
                        "correct what the message names, then deploy again",
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

    /// Returns the changes of the first page and of all pages after it.
    async fn all_changes(&self, name: &str, first: ChangeSetPage, what: &str) -> Result<Vec<Change>, Error> {
        let (mut changes, mut token) = (first.changes, first.next_token);
        while let Some(next) = token {
            let page = self.client.describe_change_set(&self.name, name, Some(&next)).await;
            let page = page.map_err(Error::client(what))?;
            changes.extend(page.changes);
            token = page.next_token;
        }
        Ok(changes)
    }

    /// Deletes a change set, and the empty stack that it was made for.
    ///
    /// # Errors
    /// Fails if AWS refuses or cannot be reached.
    pub async fn discard(&self, change_set: &ChangeSet) -> Result<(), Error> {
        let deleted = self.client.delete_change_set(&self.name, &change_set.name).await;
        deleted.map_err(Error::client("delete the change set"))?;
        let is_empty_stack = self.state().await?.is_some_and(|state| state.status == "REVIEW_IN_PROGRESS");
        if change_set.creates && is_empty_stack {
            let deleted = self.client.delete_stack(&self.name).await;
            deleted.map_err(Error::client("delete the empty stack"))?;
        }
        Ok(())
    }

    /// Executes a change set, waits until it is done and returns the stack's state. Calls `tell` for every event.
    ///
    /// # Errors
    /// Fails if a resource fails; the error names the first one and why it failed.
    pub async fn execute(
        &self,
        change_set: &ChangeSet,
        tell: impl FnMut(&StackEvent),
    ) -> Result<StackState, Error> {
        let since_ms = wall_ms() - 1000;
        let executed = self.client.execute_change_set(&self.name, &change_set.name).await;
        executed.map_err(Error::client("execute the change set"))?;
        match self.follow(since_ms, tell).await? {
            Outcome::Done(state) => Ok(state),
            Outcome::Gone => Err(Error::new(ErrorKind::Stack, "the stack no longer exists", "deploy again")),
        }
    }

    /// Removes the stack and waits until it is gone. Calls `tell` for every event.
    ///
    /// # Errors
    /// Fails if a resource cannot be removed; the error names the first one and why.
    pub async fn remove(&self, tell: impl FnMut(&StackEvent)) -> Result<(), Error> {
        let since_ms = wall_ms() - 1000;
        self.client.delete_stack(&self.name).await.map_err(Error::client("remove the stack"))?;
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
                    let message = format!("the stack `{}` has not finished after half an hour", self.name);
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
        let hint = "correct what the message names, then run the command again \
                    (`abanico aws policy` prints the permissions that a deployer needs)";
        Error::new(ErrorKind::Stack, message, hint)
    }

    /// Returns recent events, newest first; none if there is no stack.
    async fn events(&self) -> Result<Vec<StackEvent>, Error> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..EVENT_PAGES {
            let page = self.client.stack_events(&self.name, token.as_deref()).await;
            let (page, next) = page.map_err(Error::client("read the stack's events"))?;
            events.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        Ok(events)
    }
}

/// Returns the given values, and [`Parameter::Previous`] for every other parameter that both the stack and the template
/// have.
fn wire_parameters(given: &BTreeMap<String, String>, known: &[String]) -> BTreeMap<String, Parameter> {
    let template = parameters::names();
    let kept = known.iter().filter(|name| template.contains(&name.as_str()));
    let kept = kept.map(|name| (name.clone(), Parameter::Previous));
    let fresh = given.iter().map(|(name, value)| (name.clone(), Parameter::Value(value.clone())));
    // Of two entries with the same name, the later one wins.
    kept.chain(fresh).collect()
}

fn says_nothing_to_change(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_value_unless_given() {
        let given = [("Job".to_owned(), "hls".to_owned())].into();
        let known = ["Job", "Queue", "GoneFromTheTemplate"].map(str::to_owned);
        let expected = [
            ("Job".to_owned(), Parameter::Value("hls".to_owned())),
            ("Queue".to_owned(), Parameter::Previous),
        ];
        assert_eq!(wire_parameters(&given, &known), expected.into());
    }

    #[test]
    fn empty_change_set_is_no_failure() {
        assert!(says_nothing_to_change(
            "The submitted information didn't contain changes. Submit different…"
        ));
        assert!(!says_nothing_to_change("Template error"));
    }
}
