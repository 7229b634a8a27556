//! Lambda program `job-finished`: writes manifests and sends notifications when jobs end. If a setting is wrong, it
//! exits at once and names it.

use abanico_lambda::job_finished::JobFinished;
use abanico_lambda::settings::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    abanico_lambda::serve(
        || JobFinished::new(&Environment::new(&|name| std::env::var(name).ok())),
        |function: std::sync::Arc<JobFinished>, event| async move { function.handle(&event).await },
    )
    .await
}
