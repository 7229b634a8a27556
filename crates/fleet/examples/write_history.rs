//! Writes the history of a workflow as JSON, for the test that replays histories: `write_history ADDRESS JOB FILE`. It
//! changes nothing at the service.

use std::error::Error;

use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, UntypedWorkflow, WorkflowFetchHistoryOptions,
};
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, job, file] = words.as_slice() else {
        return Err("give the address of Temporal, the id of a job, and a file to write".into());
    };
    let connection = Connection::connect(ConnectionOptions::new(Url::parse(address)?).build()).await?;
    let client = Client::new(connection, ClientOptions::new("default").build())?;
    let handle = client.get_workflow_handle::<UntypedWorkflow>(job);
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default()).to_json().await?;
    std::fs::write(file, history)?;
    Ok(())
}
