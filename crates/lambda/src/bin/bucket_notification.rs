//! Lambda program `bucket-notification`: sets a notification on a bucket at CloudFormation's request. If a setting is
//! wrong, it exits at once and names it.

use abanico_lambda::bucket_notification::BucketNotification;
use abanico_lambda::settings::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    abanico_lambda::serve(
        || BucketNotification::new(&Environment::new(&|name| std::env::var(name).ok())),
        |function: std::sync::Arc<BucketNotification>, event| async move { function.handle(&event).await },
    )
    .await
}
