//! Calls STS to find out which account the credentials belong to.

use crate::form::Form;
use crate::xml::Element;
use crate::{Error, Operation, SignedClient};

/// A client of STS.
#[derive(Clone)]
pub struct Sts(SignedClient);

impl Sts {
    /// Creates a client that sends through `client`, which must sign for `sts`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Returns the number of the account that the credentials belong to.
    ///
    /// # Errors
    /// Fails if the credentials are not valid or the service cannot be reached.
    pub async fn account_id(&self) -> Result<String, Error> {
        let operation = Operation::GetCallerIdentity;
        let form = Form::of(operation.name(), "2011-06-15");
        let response = self.0.send(operation, &form.into_request(), true).await?;
        let answer = Element::parse(&response.body);
        let id = answer.as_ref().and_then(|answer| answer.find("GetCallerIdentityResult"));
        let id = id.map(|result| result.text_of("Account")).filter(|id| !id.is_empty());
        id.ok_or_else(|| Error::answer("sts GetCallerIdentity", "it names no account"))
    }
}
