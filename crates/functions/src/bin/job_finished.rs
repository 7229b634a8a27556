//! Lambda program `job-finished`: in events about the ends of jobs, out manifests and notifications. Never starts with a
//! wrong setting: it ends with the name of what is wrong.

use abanico_functions::job_finished::JobFinished;
use abanico_functions::settings::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    abanico_functions::serve(
        || JobFinished::new(&Environment::new(&|name| std::env::var(name).ok())),
        |function: std::sync::Arc<JobFinished>, event| async move { function.handle(&event).await },
    )
    .await
}
